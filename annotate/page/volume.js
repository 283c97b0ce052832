// The page on which a method is taught volumes. The server has the truth of what was drawn and learned; the page shows it, and asks for more.

import { Refused, get, inOrder, insist, post } from "./api.js";
import { decode } from "./masks.js";
import { COLOURS, NAMES, greyCanvas, maskCanvas, sliceOf, within } from "./planes.js";
import { busy, say } from "./notice.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const views = [0, 1, 2].map((axis) => new View($(`plane${axis}`)));
const KEYS = [
  ["X, drag", "crosshair: the slices that cross there"], ["Wheel, ↑ ↓", "slices of a plane"], ["Ctrl+wheel, 0", "zoom, whole planes"],
  ["C", "clicks: the target, right click or Shift for what is not"], ["B, E", "brush, eraser"], ["Ctrl+Z, Ctrl+Y", "undo, redo on the chosen slice"],
  ["T", "teach: learn from the labelled slices"], ["Enter", "next volume"], ["H", "hide masks"], ["Space+drag", "move a plane"],
];

let lessons, photo = null, status = { state: "preparing" }, lesson = null;
let voxels = null, answer = null, guide = null, proxy = null;
let cross = [0, 0, 0], chosen = 0, tool = "cross", hidden = false, space = false, since = performance.now();

// --- what is asked of the server

async function open(key) {
  const fresh = photo?.key !== key, told = await get(`/api/photos/${key}`);
  if (fresh) {
    const response = await fetch(`/api/photos/${key}/voxels`);
    if (!response.ok) throw new Refused(response.status, (await response.json()).error);
    voxels = new Uint8Array(await response.arrayBuffer());
    cross = told.size.map((side) => Math.floor(side / 2));
    since = performance.now();
  }
  take(told);
  if (fresh) for (const axis of [0, 1, 2]) { showPlane(axis); views[axis].fit(); }
  await ask();
  show();
}

function take(told) {
  if (!photo || told.answer !== photo.answer || told.key !== photo.key) answer = volumeOf(told.answer, told.size);
  photo = told;
}

const volumeOf = (counts, [depth, height, width]) => (counts ? decode(counts, depth, height * width) : null);

// The proxy mask that follows from the slices, and the slices that are asked for.
async function ask() {
  const key = photo.key, told = await get(`/api/photos/${key}/guide`);
  if (photo.key !== key) return;
  guide = told;
  proxy = volumeOf(told.proxy, photo.size);
}

// `view` is where it was done: a stroke that is begun before the answer comes is another path, and stays.
function act(request, view) {
  const path = view?.path, key = photo.key, spent = Math.round((performance.now() - since) / 10) / 100;
  since = performance.now();
  return inOrder(async () => {
    if (photo?.key !== key) return;
    try {
      take(await insist(`/api/photos/${key}/act`, { ...request, version: photo.version, spent }, away));
      if (["teach", "next", "cancel"].includes(request.do)) await look(); else { show(); await ask(); }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message, true);
      if (error.status === 409) await open(key);
    } finally {
      if (view) { view.waiting = false; if (view.path === path && !drag?.path) view.path = null; }
      show();
    }
  });
}

async function look() {
  let now;
  try { now = await get("/api/status"); away(false); } catch { away(true); return; }
  const before = status, follows = !photo || photo.key === lesson;
  status = now;
  lesson = now.key ?? lesson;
  if (!lessons || now.key !== before.key || now.state !== before.state) lessons = await get("/api/lessons");
  const wanted = !photo ? now.key ?? lessons.photos.findLast((one) => one.met)?.key : now.key && now.key !== photo.key && follows ? now.key : null;
  if (wanted) await open(wanted);
  else if (photo && (now.state !== before.state || (now.key === photo.key && now.version !== photo.version && now.state === "waiting"))) await open(photo.key);
  if (now.state === "waiting" && before.state === "learning" && photo.problem) say(photo.problem, true);
  if (now.state === "resting" && before.state !== "resting") say("All volumes are done. Export writes them.");
  showPanels();
}

async function write() {
  busy("writing");
  try {
    const { out, notes } = await post("/api/export", {});
    say([`Written to ${out}`, ...notes].join("\n"));
  } catch (error) { say(error.message, true); }
  busy("");
}

// --- what is shown

const drawnOn = (axis, number) => photo.slices.find((one) => one.axis === axis && one.number === number && one.actions);

function showPlane(axis) {
  const [first, second] = within(axis), rows = photo.size[first], columns = photo.size[second], number = cross[axis], view = views[axis];
  view.aspect = photo.spacing[first] / photo.spacing[second];
  view.photo = greyCanvas(sliceOf(voxels, photo.size, axis, number), rows, columns);
  view.cross = [cross[first], cross[second]];
  const masks = [], drawn = drawnOn(axis, number);
  if (answer && $("see-answer").checked) masks.push({ mask: sliceOf(answer, photo.size, axis, number), colour: COLOURS.answer });
  if (proxy && !drawn && $("see-proxy").checked) masks.push({ mask: sliceOf(proxy, photo.size, axis, number), colour: COLOURS.proxy });
  if (drawn && $("see-drawn").checked) masks.push({ mask: drawn.runs ? decode(drawn.runs, rows, columns) : new Uint8Array(rows * columns), colour: COLOURS.drawn });
  view.layers = hidden ? [] : [maskCanvas(masks, rows, columns, Number($("opacity").value) / 100)];
  view.clicks = hidden || !drawn ? [] : drawn.clicks.map(([y, x, label]) => [y, x, label, "region"]);
  const box = $(`plane${axis}`).parentElement;
  box.classList.toggle("on", axis === chosen);
  box.lastElementChild.textContent = `${NAMES[axis]} ${number + 1} of ${photo.size[axis]}${drawn ? " · labelled" : guide?.asked[axis]?.includes(number) ? " · asked for" : ""}`;
  view.draw();
}

function show() {
  if (!photo) return;
  for (const axis of [0, 1, 2]) showPlane(axis);
  showPanels();
}

function make(tag, text = "", more = {}) { return Object.assign(document.createElement(tag), { textContent: text, ...more }); }

function sliceButton(axis, number, done) {
  return make("button", `${NAMES[axis]} ${number + 1}${done ? " ✓" : ""}`, { className: chosen === axis && cross[axis] === number ? "on" : "", onclick: () => go(axis, number) });
}

function go(axis, number) {
  chosen = axis;
  cross[axis] = Math.min(photo.size[axis] - 1, Math.max(0, number));
  if (tool === "cross") tool = lessons.clicks ? "click" : "brush";
  show();
}

function showPanels() {
  if (!lessons || !photo) return;
  const learning = status.state === "learning", mine = photo.current && !photo.learning && status.state === "waiting";
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.classList.toggle("on", button.dataset.tool === tool);
    button.hidden = button.dataset.tool === "click" && !lessons.clicks;
  }
  for (const view of views) view.canvas.style.cursor = space ? "grab" : tool === "cross" || tool === "click" ? "crosshair" : "none";
  const drawn = photo.slices.filter((one) => one.actions), here = photo.slices.find((one) => one.axis === chosen && one.number === cross[chosen]);
  $("teach").disabled = !mine || !photo.new;
  $("next").disabled = !mine;
  $("nothing").disabled = !mine || !!drawnOn(chosen, cross[chosen]);
  $("undo").disabled = !mine || !here?.actions;
  $("redo").disabled = !mine || !here?.undone;
  $("progress").hidden = $("cancel").hidden = !learning;
  $("progress").firstElementChild.style.width = status.of ? `${(100 * status.done) / status.of}%` : "0";
  busy({ learning: status.of ? `learning, update ${status.done} of ${status.of}` : "learning", preparing: "answering", failed: status.problem }[status.state] ?? "");
  const asked = Object.entries(guide?.asked ?? {}).flatMap(([axis, numbers]) => numbers.map((number) => sliceButton(Number(axis), number)));
  $("asked").replaceChildren(...(photo.current ? asked : []));
  $("labelled").replaceChildren(...drawn.map((one) => sliceButton(one.axis, one.number, true)));
  $("labour").textContent = guide ? `Labour so far: ${(100 * guide.labour).toFixed(1)} % of labelling the target wholly, as the proxy mask estimates it` : "";
  $("facts").textContent = `${drawn.length} slice${drawn.length === 1 ? "" : "s"} · ${photo.round} round${photo.round === 1 ? "" : "s"} taught${photo.new ? " · new ones to be taught" : ""}`;
  $("name").textContent = photo.name;
  const place = lessons.photos.findIndex((one) => one.key === photo.key);
  $("place").textContent = `${place + 1} of ${lessons.photos.length}`;
  $("done").textContent = `${lessons.photos.filter((one) => one.finished).length} of ${lessons.photos.length} done`;
  $("tasks").replaceChildren(...lessons.photos.map((one) => {
    const row = make("li", "", { className: one.key === photo.key ? "on" : one.met ? "" : "later" }), head = make("div");
    if (one.met) row.onclick = () => open(one.key);
    head.append(make("span", one.name), make("small", [one.finished && "✓", one.rounds && `${one.slices} slices`].filter(Boolean).join(" · ")));
    row.append(head);
    return row;
  }));
  document.title = `${photo.name} – teach`;
}

function away(is) { if (is) busy("the server is away; it is asked again"); }

// --- pointer and keys

let drag = null;
const round = (value) => Math.round(value * 100) / 100;
const radius = () => Number($("radius").value);
const usable = () => photo?.current && !photo.learning;

function moveCross(axis, event) {
  const [y, x] = views[axis].place(event).map(Math.floor), [first, second] = within(axis);
  if (y < 0 || x < 0 || y >= photo.size[first] || x >= photo.size[second]) return;
  cross[first] = y;
  cross[second] = x;
  show();
}

views.forEach((view, axis) => {
  const canvas = view.canvas;
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    if (!photo) return;
    event.preventDefault();
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    chosen = axis;
    const painting = tool === "brush" || tool === "eraser";
    drag = { event, panning: space || event.button === 1, painting };
    if (drag.panning) return;
    if (tool === "cross") moveCross(axis, event);
    if (painting && usable()) {
      const [y, x] = view.place(event);
      view.path = { points: [[round(y - 0.5), round(x - 0.5)]], radius: radius(), label: tool === "eraser" || event.button === 2 || event.shiftKey ? 0 : 1 };
      drag.path = view.path;
      view.draw();
    }
    showPlane(axis);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [y, x] = view.place(event);
    view.cursor = tool === "brush" || tool === "eraser" ? { y, x, radius: radius() } : null;
    if (!drag) { if (view.cursor) view.draw(); return; }
    if (drag.panning) view.move(event.movementX, event.movementY);
    else if (tool === "cross") moveCross(axis, event);
    else if (drag.path) { if (drag.path.points.length < 20000) drag.path.points.push([round(y - 0.5), round(x - 0.5)]); view.draw(); }
  });
  canvas.addEventListener("pointerup", (event) => {
    const was = drag;
    drag = null;
    if (!was || !photo || was.panning || tool === "cross") return show();
    if (!usable()) { view.path = null; say(photo.learning ? "The round is being learned." : "This volume is done.", true); return show(); }
    const place = { axis, number: cross[axis] };
    if (was.painting) { if (was.path) act({ do: "stroke", ...place, ...was.path }, view); return; }
    const [y, x] = view.place(event).map(Math.floor), [first, second] = within(axis), label = was.event.button === 2 || was.event.shiftKey ? 0 : 1;
    if (y < 0 || x < 0 || y >= photo.size[first] || x >= photo.size[second]) return;
    view.clicks = [...view.clicks, [y, x, label, "region"]];
    view.waiting = true;
    view.draw();
    act({ do: "click", ...place, y, x, label }, view);
  });
  canvas.addEventListener("pointercancel", () => { drag = null; view.path = null; view.draw(); });
  canvas.addEventListener("pointerleave", () => { view.cursor = null; view.draw(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!photo) return;
    const box = canvas.getBoundingClientRect();
    if (event.ctrlKey) { view.zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top); return; }
    chosen = axis;
    cross[axis] = Math.min(photo.size[axis] - 1, Math.max(0, cross[axis] + Math.sign(event.deltaY)));
    show();
  }, { passive: false });
});

function setTool(name) { tool = name; for (const view of views) view.cursor = null; show(); }
const press = (id) => { if (!$(id).disabled) $(id).click(); };
const here = () => ({ axis: chosen, number: cross[chosen], object: 1 });
const turn = (by) => { cross[chosen] = Math.min(photo.size[chosen] - 1, Math.max(0, cross[chosen] + by)); show(); };
const ON_KEY = {
  x: () => setTool("cross"), c: () => lessons.clicks && setTool("click"), b: () => setTool("brush"), e: () => setTool("eraser"), t: () => press("teach"),
  Enter: () => press("next"), h: () => { hidden = !hidden; show(); }, 0: () => views.forEach((view) => view.fit()), ArrowUp: () => turn(-1),
  ArrowDown: () => turn(1), "?": help,
};
addEventListener("keydown", (event) => {
  if ($("keys").open || !photo || ["INPUT", "BUTTON"].includes(event.target.tagName)) return;
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    if (key === "z" || key === "y") { event.preventDefault(); press(key === "y" || event.shiftKey ? "redo" : "undo"); }
    return;
  }
  if (event.altKey) return;
  if (event.key === " ") { event.preventDefault(); space = true; showPanels(); return; }
  const work = ON_KEY[event.key] ?? ON_KEY[event.key.toLowerCase()];
  if (work) { event.preventDefault(); work(); }
});
addEventListener("keyup", (event) => { if (event.key === " ") { space = false; showPanels(); } });

function help() {
  const list = make("dl");
  for (const [keys, what] of KEYS) list.append(make("dt", keys), make("dd", what));
  $("keys").replaceChildren(list);
  $("keys").showModal();
}
$("keys").addEventListener("click", () => $("keys").close());
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => { setTool(button.dataset.tool); button.blur(); });
for (const [id, work] of Object.entries({
  teach: () => act({ do: "teach" }), next: () => act({ do: "next" }), cancel: () => act({ do: "cancel" }), undo: () => act({ do: "undo", ...here() }),
  redo: () => act({ do: "redo", ...here() }), export: write, help, fit: () => views.forEach((view) => view.fit()),
  nothing: () => act({ do: "stroke", axis: chosen, number: cross[chosen], points: [[0, 0]], radius: 0.5, label: 0 }),
})) $(id).addEventListener("click", (event) => { work(); event.currentTarget.blur(); });
for (const id of ["see-drawn", "see-proxy", "see-answer", "opacity"]) $(id).addEventListener("input", show);

await look();
for (;;) {
  await new Promise((after) => setTimeout(after, ["learning", "preparing"].includes(status.state) ? 200 : 2000));
  await inOrder(look);
}
