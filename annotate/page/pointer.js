// What a pointer does on a view: it moves what is seen, draws a stroke, or clicks. A page's hand says which.
//
// ready(): is there something to point at
// tool(): name of the tool in the hand; "pan" moves what is seen
// down(event): a button went down (optional)
// stroke(event): {radius, label} of a stroke that begins there, null for a tool that draws none
// radius(): of the brush that is shown under the pointer, null for none
// hover(place): the pointer is moved with no button down (optional)
// drag(place): it is moved with the left button down, instead of moving what is seen (optional; null for a tool that does not)
// draw(path), click(place, event, down): a stroke or a click has ended; `down` is the event that it began with
// wheel(event): what the wheel does instead of zooming; false where it zooms (optional)

import { held } from "./keys.js";

const STILL = 4;          // pixels of the screen within which a pointer that goes down and up has clicked
const STEP = 2;           // pixels of the screen between two points of a stroke
const LONGEST = 20000;    // points of a stroke, as the server takes it
const BEGUN = 3;          // points of a stroke up to which a second finger means both; later it is a palm

export const isBackground = (event) => held.background || event.button === 2 || event.shiftKey;

// A second finger may follow the first one: what a button does as it goes down, a finger does as it moves or is lifted.
const isFinger = (event) => event.pointerType === "touch";

const round = (value) => Math.round(value * 100) / 100;
const pointOf = ([y, x]) => [round(y - 0.5), round(x - 0.5)];

export function listenToPointer(view, hand) {
  const { canvas } = view;
  let drag = null;
  const pinch = new Pinch(view);
  // Another finger, or a palm, while something is being done.
  const isOther = (event) => drag !== null && event.pointerId !== drag.down.pointerId;

  function stop() {
    if (drag?.path) view.path = null;
    drag = null;
    view.drawing = false;
    view.draw();
  }

  view.interrupt = () => { pinch.forget(); stop(); };

  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener("pointerdown", (event) => {
    if (!hand.ready()) return;
    if (event.pointerType === "pen" && drag?.down.pointerType !== "pen") { pinch.forget(); stop(); }   // the hand came first
    if (pinch.begins(event, drag)) { event.preventDefault(); stop(); return; }
    if (pinch.moves || isOther(event)) return;
    event.preventDefault();
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    hand.down?.(event);
    const panning = held.space || hand.tool() === "pan" || (event.button === 1 && !hand.middle?.());
    drag = { down: event, panning, x: event.clientX, y: event.clientY };
    if (panning) return;
    const stroke = hand.stroke(event), place = view.place(event);
    if (stroke) {
      view.path = drag.path = { points: [pointOf(place)], ...stroke };
      view.drawing = true;
      view.draw();
    } else if (!isFinger(event)) hand.drag?.()?.(place);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (pinch.follows(event) || isOther(event)) return;
    const place = view.place(event), radius = hand.radius();
    view.cursor = radius === null ? null : { y: place[0], x: place[1], radius };
    if (view.cursor) view.draw();
    if (!drag) { hand.hover?.(place); return; }
    if (drag.path) { lengthen(drag.path, place, view.scale); view.draw(); return; }
    const moved = Math.hypot(event.clientX - drag.down.clientX, event.clientY - drag.down.clientY) > STILL;
    const follow = hand.drag?.();
    if (follow && !drag.panning) { if (moved || !isFinger(event)) follow(place); }
    else if (drag.panning || (moved && drag.down.button === 0)) {
      drag.panning = true;
      view.move(event.clientX - drag.x, event.clientY - drag.y);
    }
    drag.x = event.clientX;
    drag.y = event.clientY;
  });

  canvas.addEventListener("pointerup", (event) => {
    if (pinch.ends(event) || isOther(event)) return;
    const was = drag;
    drag = null;
    view.drawing = false;
    if (!was || !hand.ready()) return;
    if (was.path) hand.draw(was.path);
    else if (!was.panning) {
      const place = view.place(event), pixel = place.map(Math.floor);
      if (isFinger(event)) hand.drag?.()?.(place);
      if (view.has(pixel)) hand.click(pixel, event, was.down);
    }
  });

  canvas.addEventListener("pointercancel", (event) => {
    if (!pinch.ends(event) && !isOther(event)) stop();
  });
  canvas.addEventListener("pointerleave", () => { view.cursor = null; hand.hover?.(null); view.draw(); });

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!hand.ready() || hand.wheel?.(event)) return;
    const box = canvas.getBoundingClientRect();
    view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
}

// Two fingers: what is under them stays under them, so that the photo moves and grows with them. A stroke that one of them had begun is dropped.
class Pinch {
  constructor(view) {
    this.view = view;
    this.fingers = new Map();   // where each finger is on the screen, by its pointer
    this.moves = false;         // from the second finger's touch until the last one is lifted
  }

  begins(event, drag) {
    if (!isFinger(event)) return false;
    const drawn = drag?.path?.points.length ?? 0;
    if (drag && (!isFinger(drag.down) || drawn > BEGUN)) return false;
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.moves || this.fingers.size !== 2) return false;
    this.view.canvas.setPointerCapture(event.pointerId);
    return (this.moves = true);
  }

  follows(event) {
    if (!this.fingers.has(event.pointerId)) return false;
    const before = this.frame();
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const after = this.frame();
    if (!this.moves || !before || !after) return this.moves;
    const box = this.view.canvas.getBoundingClientRect();
    this.view.move(after.x - before.x, after.y - before.y);
    this.view.zoom(after.apart / before.apart, after.x - box.left, after.y - box.top);
    return true;
  }

  ends(event) {
    const moved = this.moves;
    this.fingers.delete(event.pointerId);
    if (!this.fingers.size) this.moves = false;
    return moved;
  }

  forget() {
    this.fingers.clear();
    this.moves = false;
  }

  // The middle between the first two fingers, and how far apart they are.
  frame() {
    if (this.fingers.size < 2) return null;
    const [[ax, ay], [bx, by]] = this.fingers.values();
    return { x: (ax + bx) / 2, y: (ay + by) / 2, apart: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  }
}

function lengthen(path, place, scale) {
  const point = pointOf(place), last = path.points.at(-1);
  const far = Math.hypot(point[0] - last[0], point[1] - last[1]) * scale >= STEP;
  if (far && path.points.length < LONGEST) path.points.push(point);
}
