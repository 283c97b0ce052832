// The annotator's page. The server has the truth of what was done; the page shows it, and asks for more.

import { Refused, get, inOrder, insist, post, tab } from "./api.js";
import { colourOf, css, decode, encode, heat, paint } from "./masks.js";
import { busy, say } from "./notice.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const view = new View($("canvas"));
const KEYS = [
  ["Click", "object"], ["Right click, Shift+click", "background"], ["Middle click, Alt+click", "boundary, where the network knows such"],
  ["Wheel, 0", "zoom, whole photo"], ["Space+drag, drag", "move"], ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["N", "next object"],
  ["Enter", "finish the photo"], ["Esc", "cancel what was done since the object was chosen"], ["← →", "photo before, after"],
  ["1 to 9", "class"], ["C, B, E", "click, brush, eraser"], ["[ ]", "size of the brush"], ["H", "hide everything but the photo"],
  ["Delete", "remove the object"],
];

let project, photo = null, opening = 0;
let chosen = null, chosenAt = 0;      // the object's number, and how many actions it had when it was chosen
let category, tool = "click", hidden = false, space = false;
let spentSince = performance.now(), spent = 0;
const decoded = new Map();            // masks by object and label, with the run lengths that they are of

// --- what is asked of the server

async function open(key, more = {}) {
  const number = ++opening;
  if (photo && photo.key !== key) letGo();
  busy("opening");
  try {
    const [told, picture] = await Promise.all([inOrder(() => insist(`/api/photos/${key}`, more, away)), pictureOf(key)]);
    if (number !== opening) return;
    const fresh = photo?.key !== key;
    photo = { key, ...told, things: new Map(told.things.map((thing) => [thing.number, thing])) };
    if (fresh) { decoded.clear(); view.show(picture); chosen = null; startClock(); }
    if (chosen !== null && !photo.things.has(chosen)) chosen = null;
    history.replaceState(null, "", `#${key}`);
    showProject();
    show();
  } catch (error) {
    say(error.message, true);
  } finally {
    if (number === opening) busy("");
  }
}

let lastPicture = { key: null, picture: null };
async function pictureOf(key) {
  if (lastPicture.key === key) return lastPicture.picture;
  const response = await fetch(`/api/photos/${key}/picture`);
  if (!response.ok) throw new Refused(response.status, (await response.json()).error);
  const picture = await createImageBitmap(await response.blob());
  lastPicture = { key, picture };
  return picture;
}

// Ask for a change; `asked` may be a function, which is called when it is this request's turn and gives null for nothing.
function act(asked) {
  const key = photo.key, passed = takeTime();
  return inOrder(async () => {
    if (photo?.key !== key) return null;
    const request = typeof asked === "function" ? asked() : asked;
    if (!request) return null;
    const object = typeof request.object === "function" ? request.object() : request.object;
    try {
      view.waiting = true;
      const answer = await insist(`/api/photos/${key}/act`, { ...request, object, version: photo.version, spent: passed }, away);
      if (photo?.key !== key) return null;
      Object.assign(photo, { version: answer.version, finished: answer.finished, last: answer.last });
      for (const thing of answer.things) photo.things.set(thing.number, thing);
      return answer.things[0] ?? answer;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message, true);
      if (error.status === 409 || error.status === 423) setTimeout(() => open(key));
      return null;
    } finally {
      view.waiting = false;
      view.path = null;
      show();
    }
  });
}

// Clicks that come before the first one's answer are of the same object.
function actOnChosen(request) {
  const turn = choice;
  return act({ ...request, object: () => (turn === choice ? chosen : turn.number) ?? undefined, category }).then((thing) => {
    if (thing?.number === undefined) return;
    turn.number = thing.number;
    if (turn === choice && chosen === null) { chosen = thing.number; chosenAt = 0; show(); }
  });
}

let choice = { number: null };
function choose(number) {
  chosen = number;
  choice = { number };
  chosenAt = number === null ? 0 : photo.things.get(number).actions;
  if (number !== null && project.outputs === 1) category = photo.things.get(number).category;
  show();
}

const thing = () => (chosen === null ? null : photo?.things.get(chosen) ?? null);

// What is undone is decided when it is this request's turn: what was asked before has happened then.
function undo() {
  act(() => {
    const number = chosen ?? photo.last, last = photo.things.get(number);
    if (last?.removed) return { do: "restore", object: number };
    return last?.actions ? { do: "undo", object: number } : null;
  }).then(chooseIfNone);
}

function redo() {
  act(() => {
    const number = chosen ?? photo.last;
    return photo.things.get(number)?.undone ? { do: "redo", object: number } : null;
  }).then(chooseIfNone);
}

function chooseIfNone(thing) { if (thing?.number !== undefined && chosen === null) choose(thing.number); }

function cancel() {
  const one = thing();
  if (one && one.actions > chosenAt) act({ do: "undo", object: chosen, to: chosenAt }).then(() => choose(null));
  else choose(null);
}

function remove(number) {
  act({ do: "remove", object: number }).then((gone) => {
    if (!gone) return;
    if (chosen === number) choose(null);
    say("Object removed; Ctrl+Z brings it back.");
  });
}

async function finish() {
  if (!photo) return;
  await act({ do: photo.finished ? "reopen" : "finish" });
  await refresh();
  const keys = project.photos, place = keys.findIndex((one) => one.key === photo.key);
  if (!photo.finished) return;
  const next = [...keys.slice(place + 1), ...keys.slice(0, place)].find((one) => !one.finished);
  if (next) open(next.key); else say("All photos are finished. Export writes the masks.");
}

async function write() {
  busy("writing");
  try {
    const { out, notes } = await inOrder(() => post("/api/export", { tolerance: Number($("tolerance").value) }));
    say([`Written to ${out}`, ...notes.slice(0, 6)].join("\n"));
  } catch (error) { say(error.message, true); }
  busy("");
}

async function startFrom(file) {
  try {
    const picture = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const [height, width] = photo.size;
    if (picture.width !== width || picture.height !== height) throw new Error(`The mask is ${picture.width} x ${picture.height}, the photo ${width} x ${height}.`);
    const pen = new OffscreenCanvas(width, height).getContext("2d");
    pen.drawImage(picture, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height), values = new Map();
    for (let i = 0; i < height * width; i++) {
      const value = (data[4 * i] << 16) | (data[4 * i + 1] << 8) | data[4 * i + 2];
      if (!value) continue;
      if (!values.has(value)) values.set(value, new Uint8Array(height * width));
      if (values.size > 100) throw new Error("The mask has more than 100 values; save ids, or black and white.");
      values.get(value)[i] = 1;
    }
    choose(null);
    for (const mask of values.values()) await act({ do: "start", category, runs: { 1: encode(mask, height, width) } });
  } catch (error) { say(error.message, true); }
}

async function refresh() {
  project = await get("/api/project");
  showProject();
}

function letGo() {
  const body = new Blob([JSON.stringify({ tab, let_go: true })], { type: "application/json" });
  if (photo) navigator.sendBeacon(`/api/photos/${photo.key}/hold`, body);
}

// --- the person's time: what passes while the page is seen

function startClock() { spent = 0; spentSince = performance.now(); }
function takeTime() {
  const passed = spent + (document.hidden ? 0 : performance.now() - spentSince);
  startClock();
  return Math.round(passed / 10) / 100;
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) spent += performance.now() - spentSince; else spentSince = performance.now();
});

// --- what is shown

const overlay = document.createElement("canvas"), warm = document.createElement("canvas");
let heatOf = "";

function show() {
  if (!photo) return;
  const [height, width] = photo.size, present = things();
  const layers = [];
  for (const one of [...present.filter((other) => other.number !== chosen), ...present.filter((other) => other.number === chosen)]) {
    for (const [label, counts] of Object.entries(one.runs)) {
      const colour = colourOf(project.outputs > 1 ? Number(label) : one.number);
      layers.push({ mask: maskOf(one.number, label, counts, height, width), colour, strong: one.number === chosen });
    }
  }
  if (overlay.width !== width || overlay.height !== height) { overlay.width = width; overlay.height = height; }
  const pen = overlay.getContext("2d"), image = pen.createImageData(width, height);
  paint(image, layers, Number($("opacity").value) / 100);
  pen.putImageData(image, 0, 0);
  view.clicks = hidden ? [] : thing()?.clicks ?? [];
  showHeat();
  showPanels(present);
  view.draw();
}

const things = () => [...photo.things.values()].filter((one) => one.actions && !one.removed).sort((a, b) => a.number - b.number);

function maskOf(number, label, counts, height, width) {
  const key = `${number} ${label}`, known = decoded.get(key);
  if (known?.counts === counts) return known.mask;
  const mask = decode(counts, height, width);
  decoded.set(key, { counts, mask });
  return mask;
}

async function showHeat() {
  const wanted = $("heat").value, one = thing();
  const mark = wanted && one?.clicks.length ? `${photo.key} ${chosen} ${photo.version} ${wanted}` : "";
  view.layers = hidden ? [] : mark && mark === heatOf ? [warm, overlay] : [overlay];
  if (!mark || mark === heatOf) return;
  const response = await fetch(`/api/photos/${photo.key}/probability/${chosen}`);
  if (!response.ok) return;
  const picture = await createImageBitmap(await response.blob());
  if (mark !== `${photo.key} ${chosen} ${photo.version} ${$("heat").value}`) return;
  warm.width = picture.width;
  warm.height = picture.height;
  const pen = warm.getContext("2d");
  pen.drawImage(picture, 0, 0);
  const image = pen.getImageData(0, 0, warm.width, warm.height);
  heat(image, wanted === "uncertainty");
  pen.putImageData(image, 0, 0);
  heatOf = mark;
  view.layers = hidden ? [] : [warm, overlay];
  view.draw();
}

function make(tag, text = "", more = {}) { return Object.assign(document.createElement(tag), { textContent: text, ...more }); }

function showPanels(present) {
  $("classes").replaceChildren(...project.classes.map((name, i) => {
    const button = make("button", name, { className: name === category ? "on" : "", onclick: () => setCategory(name) });
    if (i < 9) button.append(" ", make("kbd", String(i + 1)));
    return button;
  }));
  const rows = present.map((one) => {
    const row = make("li", "", { className: one.number === chosen ? "on" : "", onclick: () => choose(one.number) });
    const swatch = make("i");
    swatch.style.background = css(colourOf(one.number));
    const facts = `${one.clicks.length} click${one.clicks.length === 1 ? "" : "s"}${one.iou == null ? "" : ` · IoU ${one.iou.toFixed(3)}`}`;
    const gone = make("button", "×", { title: "Remove (Delete)", onclick: (event) => { event.stopPropagation(); remove(one.number); } });
    row.append(swatch, make("span", `${one.number} ${one.category}`), make("small", facts), gone);
    return row;
  });
  $("things").replaceChildren(...(rows.length ? rows : [make("li", "Click on an object in the photo.", { className: "empty" })]));
  $("undo").disabled = !(thing()?.actions || (chosen === null && photo.last != null));
  $("redo").disabled = !(thing() ?? photo.things.get(photo.last))?.undone;
  for (const button of document.querySelectorAll("[data-tool]")) button.classList.toggle("on", button.dataset.tool === tool);
  $("canvas").style.cursor = tool === "pan" || space ? "grab" : tool === "click" ? "crosshair" : "none";
  $("finish").textContent = photo.finished ? "Reopen" : "Finish";
  $("banner").hidden = photo.mine;
  $("banner").firstElementChild.textContent = "Another tab annotates this photo; here it is only shown.";
  const one = thing();
  $("facts").textContent = [
    `${photo.size[1]} × ${photo.size[0]}`, one?.seconds ? `answered in ${Math.round(1000 * one.seconds)} ms` : "",
    one?.spent ? `${one.spent} s on this object` : "",
  ].filter(Boolean).join(" · ");
}

function showProject() {
  const finished = project.photos.filter((one) => one.finished).length;
  $("photos").replaceChildren(...project.photos.map((one) => make("option", `${one.finished ? "✓ " : one.objects ? "· " : ""}${one.name}`, { value: one.key })));
  if (photo) $("photos").value = photo.key;
  const place = project.photos.findIndex((one) => one.key === photo?.key);
  $("place").textContent = place < 0 ? "" : `${place + 1} of ${project.photos.length}`;
  $("progress").firstElementChild.style.width = `${(100 * finished) / project.photos.length}%`;
  $("done").textContent = `${finished} finished`;
  document.title = photo ? `${photo.name} – annotate` : "Annotate";
}

function setCategory(name) {
  category = name;
  if (project.outputs === 1 && chosen !== null && thing()?.category !== name) act({ do: "category", object: chosen, category: name }); else show();
}

function away(is) { busy(is ? "the server is away; it is asked again" : ""); }

function step(by) {
  const place = project.photos.findIndex((one) => one.key === photo?.key) + by;
  if (project.photos[place]) open(project.photos[place].key).then(refresh);
}

// --- pointer and keys

let drag = null;
const labelOf = (event) => (event.button === 2 || event.shiftKey ? 0 : project.outputs > 1 ? Math.min(project.outputs - 1, project.classes.indexOf(category) + 1) : 1);

$("canvas").addEventListener("contextmenu", (event) => event.preventDefault());
$("canvas").addEventListener("pointerdown", (event) => {
  if (!photo) return;
  event.preventDefault();
  $("canvas").focus();
  $("canvas").setPointerCapture(event.pointerId);
  const panning = tool === "pan" || space || (event.button === 1 && !project.kinds.includes("boundary"));
  drag = { x: event.clientX, y: event.clientY, button: event.button, panning, moved: false, event };
  if (!panning && photo.mine && (tool === "brush" || tool === "eraser")) {
    const [y, x] = view.place(event);
    view.path = { points: [[y - 0.5, x - 0.5]], radius: Number($("radius").value), label: tool === "eraser" || labelOf(event) === 0 ? 0 : labelOf(event) };
    drag.path = view.path;
    view.draw();
  }
});
$("canvas").addEventListener("pointermove", (event) => {
  const [y, x] = view.place(event);
  view.cursor = tool === "brush" || tool === "eraser" ? { y, x, radius: Number($("radius").value) } : null;
  if (view.cursor && !drag) view.draw();
  if (!drag) return;
  if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) drag.moved = true;
  if (drag.path) {
    const last = drag.path.points.at(-1);
    if (Math.hypot(y - 0.5 - last[0], x - 0.5 - last[1]) * view.scale >= 2 && drag.path.points.length < 20000) drag.path.points.push([round(y - 0.5), round(x - 0.5)]);
    view.draw();
  } else if (drag.panning || (drag.moved && drag.button === 0)) {
    view.move(event.movementX, event.movementY);
    drag.panned = true;
  }
});
const round = (value) => Math.round(value * 100) / 100;
$("canvas").addEventListener("pointerup", (event) => {
  const was = drag;
  drag = null;
  if (!was || !photo) return;
  if (was.path) { actOnChosen({ do: "stroke", points: was.path.points, radius: was.path.radius, label: was.path.label }); return; }
  if (was.panning || was.panned || tool !== "click") return;
  if (!photo.mine) { say("Another tab annotates this photo; take it over first.", true); return; }
  const [y, x] = view.place(event).map(Math.floor), [height, width] = photo.size;
  if (y < 0 || x < 0 || y >= height || x >= width) return;
  const boundary = was.button === 1 || event.altKey;
  if (boundary && !project.kinds.includes("boundary")) { say("This network knows no clicks on the boundary."); return; }
  const label = labelOf(was.event);
  view.clicks = [...(thing()?.clicks ?? []), [y, x, label, boundary ? "boundary" : "region"]];
  view.waiting = true;
  view.draw();
  actOnChosen({ do: "click", y, x, label, kind: boundary ? "boundary" : "region" });
});
$("canvas").addEventListener("pointercancel", () => { drag = null; view.path = null; view.draw(); });
$("canvas").addEventListener("pointerleave", () => { view.cursor = null; view.draw(); });
$("canvas").addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = $("canvas").getBoundingClientRect();
  view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

function setTool(name) { tool = name; view.cursor = null; show(); view.draw(); }
function setRadius(by) { $("radius").value = Number($("radius").value) + by; if (view.cursor) { view.cursor.radius = Number($("radius").value); view.draw(); } }

const ON_KEY = {
  n: () => choose(null), Enter: finish, Escape: cancel, ArrowLeft: () => step(-1), ArrowRight: () => step(1), h: () => { hidden = !hidden; show(); },
  c: () => setTool("click"), b: () => setTool("brush"), e: () => setTool("eraser"), "[": () => setRadius(-2), "]": () => setRadius(2),
  0: () => view.fit(), Delete: () => chosen !== null && remove(chosen), "?": help,
};
addEventListener("keydown", (event) => {
  if ($("keys").open || !photo || ["SELECT", "INPUT"].includes(event.target.tagName) && event.target.type !== "range") return;
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    if (key === "z" || key === "y") { event.preventDefault(); (key === "y" || event.shiftKey ? redo : undo)(); }
    return;
  }
  if (event.altKey) return;
  if (event.key === " ") { event.preventDefault(); if (!space) { space = true; $("canvas").style.cursor = "grab"; } return; }
  if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
  if (event.key === "Enter" && event.target.tagName === "BUTTON") return;
  if (/^[1-9]$/.test(event.key)) { const name = project.classes[event.key - 1]; if (name) setCategory(name); return; }
  const work = ON_KEY[event.key] ?? ON_KEY[event.key.toLowerCase()];
  if (work) { event.preventDefault(); work(); }
});
addEventListener("keyup", (event) => { if (event.key === " ") { space = false; if (photo) show(); } });
addEventListener("pagehide", letGo);
addEventListener("pageshow", (event) => { if (event.persisted && photo) open(photo.key); });

function help() {
  const list = make("dl");
  for (const [keys, what] of KEYS) list.append(make("dt", keys), make("dd", what));
  $("keys").replaceChildren(list);
  $("keys").showModal();
}
$("keys").addEventListener("click", () => $("keys").close());

for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => setTool(button.dataset.tool));
for (const [id, work] of Object.entries({
  previous: () => step(-1), next: () => step(1), finish, export: write, help, undo, redo, fit: () => view.fit(), new: () => choose(null),
  take: () => open(photo.key, { take_over: true }),
})) $(id).addEventListener("click", (event) => { work(); event.currentTarget.blur(); });
$("photos").addEventListener("change", () => { open($("photos").value).then(refresh); $("photos").blur(); });
$("opacity").addEventListener("input", () => photo && show());
$("heat").addEventListener("change", () => { if (photo) show(); $("heat").blur(); });
$("tolerance").addEventListener("input", () => { $("tolerance-shown").textContent = $("tolerance").value; });
$("file").addEventListener("change", async () => { const [file] = $("file").files; $("file").value = ""; if (file && photo) await startFrom(file); });

// The hold is kept by speaking; whoever finds it gone looks on.
setInterval(async () => {
  if (!photo || document.hidden) return;
  try {
    const key = photo.key, { mine } = await post(`/api/photos/${key}/hold`, {});
    if (photo.key === key && mine !== photo.mine) open(key);
  } catch { /* the next act says it */ }
}, 10000);

await refresh();
category = project.classes[0];
const wanted = project.photos.find((one) => one.key === location.hash.slice(1)) ?? project.photos.find((one) => !one.finished) ?? project.photos[0];
await open(wanted.key);
showProject();
