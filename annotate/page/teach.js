// The page on which a method is taught. The server has the truth of what was said and learned; the page shows it, and asks for more.

import { Refused, get, inOrder, insist, post } from "./api.js";
import { classColour, drawAnswer, drawKernels, drawLabels, drawWishes, idsOf } from "./lessons.js";
import { css, heat } from "./masks.js";
import { busy, say } from "./notice.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const view = new View($("canvas"));
const KEYS = [
  ["Click", "label with the chosen class"], ["Right click, Shift+click", "label as background"], ["1 to 9", "class"],
  ["S, C, B", "superpixels, clicks, scribbles"], ["T", "teach: learn what is labelled"], ["Enter", "next photo"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo (until it is taught)"], ["Wheel, 0", "zoom, whole photo"], ["Space+drag", "move"], ["H", "hide everything but the photo"],
];
const layers = { answer: document.createElement("canvas"), heat: document.createElement("canvas"), labels: document.createElement("canvas"), wishes: document.createElement("canvas") };

let lessons, lesson = null, photo = null, ids = null, status = { state: "preparing" };
let chosen = 1, tool = "superpixel", hidden = false, space = false, hovered = null, heatOf = "", segmentsOf = "";
let since = performance.now(), labelled = 0;

// --- what is asked of the server

async function open(key) {
  const [told, picture] = await Promise.all([get(`/api/photos/${key}`), pictureOf(`/api/photos/${key}/picture`)]);
  const fresh = photo?.key !== key;
  photo = told;
  if (fresh) { view.show(picture); ids = null; heatOf = segmentsOf = ""; since = performance.now(); }
  await show();
}

async function pictureOf(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Refused(response.status, (await response.json()).error);
  return createImageBitmap(await response.blob());
}

// A scribble that is begun before the answer comes is another path, and stays.
function act(request) {
  const path = view.path, key = photo.key, spent = Math.round((performance.now() - since) / 10) / 100;
  since = performance.now();
  return inOrder(async () => {
    if (photo?.key !== key) return;
    try {
      photo = await insist(`/api/photos/${key}/act`, { ...request, version: photo.version, spent }, away);
      if (["teach", "next", "cancel"].includes(request.do)) await look();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message, true);
      if (error.status === 409) await open(key);
    } finally {
      if (view.path === path && !drag?.path) view.path = null;
      view.waiting = false;
      await show();
    }
  });
}

// What goes on; when a round is over the photo is read again, and after a photo's last one the next photo is opened.
async function look() {
  let now;
  try { now = await get("/api/status"); away(false); } catch { away(true); return; }
  const before = status;
  status = now;
  const follows = !photo || photo.key === lesson;
  lesson = now.key ?? lesson;
  if (now.key !== before.key || now.state !== before.state) lessons = await get("/api/lessons");
  if (!photo) { const first = now.key ?? lessons.photos.findLast((one) => one.met)?.key; if (first) await open(first); }
  else if (now.key && now.key !== photo.key && follows && now.state !== "preparing") await open(now.key);
  else if (now.state !== before.state || (now.key === photo.key && now.version !== photo.version && now.state === "waiting")) await open(photo.key);
  if (now.state === "waiting" && before.state === "learning" && photo.problem) say(photo.problem, true);
  if (now.state === "resting" && before.state !== "resting") say("All photos are done. Export writes masks and transfer.json.");
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

async function show() {
  if (!photo) return;
  drawAnswer(layers.answer, photo, Number($("opacity").value) / 100);
  drawLabels(layers.labels, photo);
  labelled = photo.new;
  await Promise.all([showHeat(), showSegments()]);
  showWishes();
  showPanels();
}

async function showHeat() {
  const wanted = $("heat").value, mark = photo.current && wanted ? `${photo.key} ${photo.round} ${wanted}` : "";
  if (mark && mark !== heatOf) {
    const canvas = layers.heat, picture = await pictureOf(`/api/photos/${photo.key}/map/${wanted}`).catch(() => null);
    if (!picture) return;
    canvas.width = picture.width;
    canvas.height = picture.height;
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0);
    const image = pen.getImageData(0, 0, canvas.width, canvas.height);
    // the map is a share of the largest entropy: as if of a probability on one side of a half
    for (let i = 0; i < image.data.length; i += 4) image.data[i] /= 2;
    heat(image, true);
    pen.putImageData(image, 0, 0);
  }
  heatOf = mark;
}

async function showSegments() {
  if (!photo.current || segmentsOf === photo.key) return;
  const picture = await pictureOf(`/api/photos/${photo.key}/map/segments`).catch(() => null);
  if (!picture) return;
  ids = idsOf(picture);
  segmentsOf = photo.key;
}

function showWishes() {
  const usable = ids && photo.current && !photo.learning;
  drawWishes(layers.wishes, ids, photo.size, usable && $("wishes").checked ? photo.wished : [], usable && tool === "superpixel" ? hovered : null);
  view.layers = hidden ? [] : [heatOf ? layers.heat : layers.answer, layers.labels, layers.wishes];
  view.draw();
}

function make(tag, text = "", more = {}) { return Object.assign(document.createElement(tag), { textContent: text, ...more }); }

function showPanels() {
  if (!lessons) return;
  const learning = status.state === "learning", mine = photo?.current && !photo.learning && status.state === "waiting";
  $("classes").replaceChildren(...lessons.classes.map((name, label) => {
    const button = make("button", "", { className: label === chosen ? "on" : "", onclick: () => { chosen = label; showPanels(); } }), dot = make("i");
    dot.style.background = css(classColour(label));
    button.append(dot, name, label && label < 10 ? " " : "", ...(label && label < 10 ? [make("kbd", String(label))] : []));
    return button;
  }));
  for (const button of document.querySelectorAll("[data-tool]")) button.classList.toggle("on", button.dataset.tool === tool);
  $("canvas").style.cursor = tool === "pan" || space ? "grab" : tool === "scribble" ? "none" : "crosshair";
  $("teach").disabled = !mine || !labelled;
  $("next").disabled = !mine;
  $("undo").disabled = !mine || !photo.undo;
  $("redo").disabled = !mine || !photo.redo;
  $("progress").hidden = $("cancel").hidden = !learning;
  $("progress").firstElementChild.style.width = status.of ? `${(100 * status.done) / status.of}%` : "0";
  busy({ learning: status.of ? `learning, update ${status.done} of ${status.of}` : "learning", preparing: "answering", failed: status.problem }[status.state] ?? "");
  const place = lessons.photos.findIndex((one) => one.key === photo?.key);
  $("name").textContent = photo?.name ?? "";
  $("place").textContent = place < 0 ? "" : `${place + 1} of ${lessons.photos.length}`;
  $("banner").hidden = !photo || photo.current || !status.key || learning || status.state === "preparing";
  $("banner").firstElementChild.textContent = "This photo is done; it is shown as it was answered then.";
  const row = lessons.photos[place];
  $("facts").textContent = photo ? [
    `${photo.labels} label${photo.labels === 1 ? "" : "s"}`, `${photo.round} round${photo.round === 1 ? "" : "s"} taught`, photo.new && `${photo.new} to be taught`,
    row?.iou != null ? `IoU ${row.before.toFixed(3)} → ${row.iou.toFixed(3)}` : row?.before != null && `IoU ${row.before.toFixed(3)}`,
  ].filter(Boolean).join(" · ") : "";
  $("done").textContent = `${lessons.photos.filter((one) => one.finished).length} of ${lessons.photos.length} done`;
  $("tasks").replaceChildren(...lessons.photos.map(taskRow));
  document.title = photo ? `${photo.name} – teach` : "Teach";
}

function taskRow(one, i) {
  const row = make("li", "", { className: one.key === photo?.key ? "on" : one.met ? "" : "later" });
  if (one.met) row.onclick = () => open(one.key);
  const head = make("div"), facts = [one.finished ? "✓" : "", one.rounds ? `${one.labels} labels` : "", one.iou == null ? "" : `IoU ${one.iou.toFixed(3)}`];
  head.append(make("span", `${i + 1} ${one.name}`), make("small", facts.filter(Boolean).join(" · ")));
  row.append(head);
  if (one.neighbour) {
    const [task, distance, near] = one.neighbour, other = task < 0 ? "one from before" : `photo ${task + 1}`;
    row.append(make("small", `${near ? "began with the kernels of" : "not near enough to"} ${other}, distance ${distance.toPrecision(3)}`));
  }
  if (one.activation.length) row.append(drawKernels(one.activation));
  return row;
}

function away(is) { if (is) busy("the server is away; it is asked again"); }

// --- pointer and keys

let drag = null;
const round = (value) => Math.round(value * 100) / 100;
const radius = () => Number($("radius").value);
const labelOf = (event) => (event.button === 2 || event.shiftKey ? 0 : chosen);

$("canvas").addEventListener("contextmenu", (event) => event.preventDefault());
$("canvas").addEventListener("pointerdown", (event) => {
  if (!photo) return;
  event.preventDefault();
  $("canvas").focus();
  $("canvas").setPointerCapture(event.pointerId);
  drag = { x: event.clientX, y: event.clientY, event, panning: tool === "pan" || space || event.button === 1, moved: false };
  if (!drag.panning && tool === "scribble") {
    const [y, x] = view.place(event);
    view.path = { points: [[round(y - 0.5), round(x - 0.5)]], radius: radius(), label: labelOf(event) };
    drag.path = view.path;
    view.draw();
  }
});
$("canvas").addEventListener("pointermove", (event) => {
  const [y, x] = view.place(event), over = photo && ids ? ids[Math.floor(y) * photo.size[1] + Math.floor(x)] ?? null : null;
  view.cursor = tool === "scribble" ? { y, x, radius: radius() } : null;
  if (!drag) {
    if (tool === "superpixel" && over !== hovered && photo) { hovered = over; showWishes(); } else if (view.cursor) view.draw();
    return;
  }
  if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) drag.moved = true;
  if (drag.path) { if (drag.path.points.length < 20000) drag.path.points.push([round(y - 0.5), round(x - 0.5)]); view.draw(); }
  else if (drag.panning) view.move(event.movementX, event.movementY);
});
$("canvas").addEventListener("pointerup", (event) => {
  const was = drag;
  drag = null;
  if (!was || !photo || was.panning) return;
  const label = labelOf(was.event);
  if (!photo.current || photo.learning) { view.path = null; say(photo.learning ? "The round is being learned." : "This photo is not being taught now.", true); view.draw(); return; }
  if (was.path) { act({ do: "label", kind: "scribble", points: was.path.points, radius: was.path.radius, label }); return; }
  const [y, x] = view.place(event).map(Math.floor), [height, width] = photo.size;
  if (y >= 0 && x >= 0 && y < height && x < width) act({ do: "label", kind: tool, y, x, label });
});
$("canvas").addEventListener("pointercancel", () => { drag = null; view.path = null; view.draw(); });
$("canvas").addEventListener("pointerleave", () => { view.cursor = null; hovered = null; if (photo) showWishes(); });
$("canvas").addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = $("canvas").getBoundingClientRect();
  view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

function setTool(name) { tool = name; view.cursor = null; showPanels(); if (photo) showWishes(); }
const press = (id) => { if (!$(id).disabled) $(id).click(); };
const ON_KEY = {
  s: () => setTool("superpixel"), c: () => setTool("click"), b: () => setTool("scribble"), t: () => press("teach"), Enter: () => press("next"),
  h: () => { hidden = !hidden; showWishes(); }, 0: () => view.fit(), "?": help,
};
addEventListener("keydown", (event) => {
  if ($("keys").open || !photo || ["SELECT", "INPUT", "BUTTON"].includes(event.target.tagName)) return;
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    if (key === "z" || key === "y") { event.preventDefault(); press(key === "y" || event.shiftKey ? "redo" : "undo"); }
    return;
  }
  if (event.altKey) return;
  if (event.key === " ") { event.preventDefault(); space = true; showPanels(); return; }
  if (/^[1-9]$/.test(event.key) && lessons.classes[event.key]) { chosen = Number(event.key); showPanels(); return; }
  (ON_KEY[event.key] ?? ON_KEY[event.key.toLowerCase()])?.();
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
  teach: () => act({ do: "teach" }), next: () => act({ do: "next" }), cancel: () => act({ do: "cancel" }), undo: () => act({ do: "undo" }),
  redo: () => act({ do: "redo" }), export: write, help, fit: () => view.fit(), back: () => status.key && open(status.key),
})) $(id).addEventListener("click", (event) => { work(); event.currentTarget.blur(); });
$("opacity").addEventListener("input", show);
$("wishes").addEventListener("change", () => { showWishes(); $("wishes").blur(); });
$("heat").addEventListener("change", () => { show(); $("heat").blur(); });

lessons = await get("/api/lessons");
await look();
for (;;) {
  await new Promise((after) => setTimeout(after, ["learning", "preparing"].includes(status.state) ? 200 : 2000));
  await inOrder(look);
}
