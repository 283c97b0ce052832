// The page on which a method is taught volumes. The server has the truth of what was drawn and learned; the page shows it, and asks for more.

import { fetchOf, get } from "./api.js";
import { startClock } from "./clock.js";
import { act, course, isOpen, isWaiting, plural, rowOf, runCourse, sayClosed, showCourse, write } from "./course.js";
import { $, make } from "./dom.js";
import { held, listenToButtons, listenToKeys, press, showHelp, showTool } from "./keys.js";
import { decode } from "./masks.js";
import { COLOURS, NAMES, greyCanvas, isUpwards, maskCanvas, sliceOf, upwards, within } from "./planes.js";
import { isBackground, listenToPointer } from "./pointer.js";
import { View } from "./view.js";

const AXES = [0, 1, 2];
const views = AXES.map((axis) => new View($(`plane${axis}`)));
const KEYS = [
  ["X, drag", "crosshair: the slices that cross there"], ["Wheel, ↑ ↓", "slices of a plane"], ["Ctrl+wheel, two fingers, 0", "zoom, whole planes"],
  ["C", "clicks: the target, right click, Shift or - for what is not"], ["B, E", "brush, eraser"], ["Ctrl+Z, Ctrl+Y", "undo, redo on the chosen slice"],
  ["T", "teach: learn from the labelled slices"], ["Enter", "next volume"], ["H", "hide masks"], ["Space+drag", "move a plane"],
];

const NOTCH = 50;   // pixels of a wheel's turn that are a slice

let voxels = null, answer = null, guide = null, proxy = null;
let cross = [0, 0, 0], chosen = 0, tool = "cross", hidden = false;

views.forEach((view, axis) => { view.upwards = isUpwards(axis); });
course.view = views[0];

// --- what is asked of the server

let opening = 0;     // of the volumes that were asked for the last one is shown

// `again`: what is shown is only read again, and another volume that was asked for still comes.
async function open(key, again = false) {
  const number = again ? opening : ++opening, told = await get(`/api/photos/${key}`);
  const found = course.item?.key === key ? null : await voxelsOf(key);
  if (number !== opening || (again && found)) return;
  const fresh = found !== null;
  if (fresh) {
    for (const view of views) view.interrupt();
    voxels = found;
    cross = told.size.map((side) => Math.floor(side / 2));
    guide = proxy = null;
    startClock();
  }
  take(told);
  if (fresh) for (const axis of AXES) { showPlane(axis); views[axis].fit(); }
  await ask();
  show();
}

async function voxelsOf(key) {
  const response = await fetchOf(`/api/photos/${key}/voxels`);
  return new Uint8Array(await response.arrayBuffer());
}

function take(told) {
  const { item } = course;
  if (told.answer !== item?.answer || told.key !== item.key) answer = volumeOf(told.answer, told.size);
  course.item = told;
}

const volumeOf = (counts, [depth, height, width]) => (counts ? decode(counts, depth, height * width) : null);

// The proxy mask that follows from the slices, and the slices that are asked for.
async function ask() {
  const { key } = course.item, told = await get(`/api/photos/${key}/guide`);
  if (course.item.key !== key) return;
  guide = told;
  proxy = volumeOf(told.proxy, course.item.size);
}

// --- what is shown

const sliceAt = (axis, number) => course.item.slices.find((one) => one.axis === axis && one.number === number);
const drawnOn = (axis, number) => { const one = sliceAt(axis, number); return one?.actions ? one : null; };

function show() {
  if (!course.item) return;
  for (const axis of AXES) showPlane(axis);
  showPanels();
}

function showPlane(axis) {
  const { size, spacing } = course.item, [first, second] = within(axis), number = cross[axis], view = views[axis], drawn = drawnOn(axis, number);
  view.aspect = spacing[first] / spacing[second];
  view.photo = greyCanvas(sliceOf(voxels, size, axis, number), size[first], size[second]);
  view.cross = [cross[first], cross[second]];
  view.layers = hidden ? [] : [maskCanvas(masksOn(axis, number, drawn), size[first], size[second], Number($("opacity").value) / 100)];
  view.clicks = hidden || !drawn ? [] : drawn.clicks.map(([y, x, label]) => [y, x, label, "region"]);
  const box = $(`plane${axis}`).parentElement, asked = guide?.asked[axis]?.includes(number);
  box.classList.toggle("on", axis === chosen);
  box.lastElementChild.textContent = `${NAMES[axis]} ${number + 1} of ${size[axis]}${drawn ? " · labelled" : asked ? " · asked for" : ""}`;
  view.draw();
}

function masksOn(axis, number, drawn) {
  const { size } = course.item, [first, second] = within(axis), masks = [];
  if (answer && $("see-answer").checked) masks.push({ mask: sliceOf(answer, size, axis, number), colour: COLOURS.answer });
  if (proxy && !drawn && $("see-proxy").checked) masks.push({ mask: sliceOf(proxy, size, axis, number), colour: COLOURS.proxy });
  if (drawn?.runs && $("see-drawn").checked) masks.push({ mask: decode(drawn.runs, size[first], size[second]), colour: COLOURS.drawn });
  return masks;
}

function showPanels() {
  const { item, lessons } = course;
  if (!lessons || !item) return;
  showCourse();
  showTool(tool);
  document.querySelector("[data-tool=click]").hidden = !lessons.clicks;
  for (const view of views) view.canvas.style.cursor = held.space ? "grab" : tool === "cross" || tool === "click" ? "crosshair" : "none";
  const drawn = item.slices.filter((one) => one.actions), here = sliceAt(chosen, cross[chosen]);
  $("nothing").disabled = !isWaiting() || Boolean(here?.actions);
  $("undo").disabled = !isWaiting() || !here?.actions;
  $("redo").disabled = !isWaiting() || !here?.undone;
  $("asked").replaceChildren(...(item.current ? askedButtons() : []));
  $("labelled").replaceChildren(...drawn.map((one) => sliceButton(one.axis, one.number, " ✓")));
  const labour = guide && (100 * guide.labour).toFixed(1);
  $("labour").textContent = guide ? `Labour so far: ${labour} % of labelling the target wholly, as the proxy mask estimates it` : "";
  const facts = [plural(drawn.length, "slice"), `${plural(item.round, "round")} taught`];
  if (item.new) facts.push("new ones to be taught");
  $("facts").textContent = facts.join(" · ");
  $("tasks").replaceChildren(...lessons.photos.map((one) => rowOf(one, one.name, [one.rounds && `${one.slices} slices`])));
}

function askedButtons() {
  const asked = Object.entries(guide?.asked ?? {});
  return asked.flatMap(([axis, numbers]) => numbers.map((number) => sliceButton(Number(axis), number)));
}

function sliceButton(axis, number, mark = "") {
  const here = chosen === axis && cross[axis] === number;
  return make("button", `${NAMES[axis]} ${number + 1}${mark}`, { className: here ? "on" : "", onclick: () => go(axis, number) });
}

// --- pointer, keys and buttons

function go(axis, number) {
  if (tool === "cross") tool = course.lessons.clicks ? "click" : "brush";
  turnTo(axis, number);
}

function turnTo(axis, number) {
  chosen = axis;
  cross[axis] = Math.min(course.item.size[axis] - 1, Math.max(0, number));
  show();
}

function step(axis, up) { turnTo(axis, cross[axis] + up * upwards(axis)); }

// A notch of a wheel is a slice; a trackpad sends many small steps for one, which add up.
let turned = { axis: 0, by: 0 };
function turn(axis, event) {
  const isNotch = event.deltaMode || event.wheelDeltaY % 120 === 0, way = Math.sign(event.deltaY);
  if (!way) return;   // sideways
  if (turned.axis !== axis || Math.sign(turned.by) !== way) turned = { axis, by: 0 };
  turned.by += isNotch ? way * NOTCH : event.deltaY;
  if (Math.abs(turned.by) < NOTCH) return;
  turned.by = 0;
  step(axis, -way);
}

function moveCross(axis, place) {
  const [y, x] = place.map(Math.floor), [first, second] = within(axis);
  if (!views[axis].has([y, x])) return;
  cross[first] = y;
  cross[second] = x;
  show();
}

function setTool(name) { tool = name; for (const view of views) view.cursor = null; show(); }

const draws = () => tool === "brush" || tool === "eraser";
const radius = () => (draws() ? Number($("radius").value) : null);

views.forEach((view, axis) => listenToPointer(view, {
  ready: () => course.item,
  tool: () => tool,
  down: () => { chosen = axis; course.view = view; show(); },
  stroke: (event) => (draws() && isOpen() ? { number: cross[axis], radius: radius(), label: tool === "eraser" || isBackground(event) ? 0 : 1 } : null),
  radius,
  drag: () => (tool === "cross" ? (place) => moveCross(axis, place) : null),
  draw: (path) => act({ do: "stroke", axis, number: cross[axis], ...path }, view),
  click: ([y, x], event, down) => {
    if (tool === "cross") return;
    if (!isOpen()) { sayClosed(); return; }
    if (tool !== "click") return;
    const label = isBackground(down) ? 0 : 1;
    view.clicks = [...view.clicks, [y, x, label, "region"]];
    view.waiting = true;
    view.draw();
    act({ do: "click", axis, number: cross[axis], y, x, label }, view);
  },
  wheel: (event) => {
    if (event.ctrlKey) return false;
    if (!view.drawing) turn(axis, event);
    return true;
  },
}));

const fit = () => views.forEach((view) => view.fit());
const help = () => showHelp(KEYS);
const here = () => ({ axis: chosen, number: cross[chosen], object: 1 });

listenToKeys({
  ready: () => course.item,
  changed: showPanels,
  undo: () => press("undo"),
  redo: () => press("redo"),
  keys: {
    x: () => setTool("cross"), c: () => course.lessons.clicks && setTool("click"), b: () => setTool("brush"), e: () => setTool("eraser"),
    t: () => press("teach"), Enter: () => press("next"), h: () => { hidden = !hidden; show(); }, 0: fit,
    ArrowUp: () => step(chosen, 1), ArrowDown: () => step(chosen, -1), "?": help,
  },
});
listenToButtons({
  teach: () => act({ do: "teach" }), next: () => act({ do: "next" }), cancel: () => act({ do: "cancel" }), undo: () => act({ do: "undo", ...here() }),
  redo: () => act({ do: "redo", ...here() }), export: write, help, fit,
  nothing: () => act({ do: "stroke", axis: chosen, number: cross[chosen], points: [[0, 0]], radius: 0.5, label: 0 }),
}, setTool);
for (const id of ["see-drawn", "see-proxy", "see-answer", "opacity"]) $(id).addEventListener("input", show);

await runCourse({
  open, show, showPanels, take, end: "All volumes are done. Export writes them.",
  changed: async () => { show(); await ask(); },
});
