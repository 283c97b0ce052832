// The page on which a method is taught photos. The server has the truth of what was said and learned; the page shows it, and asks for more.

import { get, pictureOf } from "./api.js";
import { startClock } from "./clock.js";
import { act, course, isOpen, isWaiting, openOrSay, plural, rowOf, runCourse, sayClosed, showCourse, write } from "./course.js";
import { $, make } from "./dom.js";
import { held, listenToButtons, listenToKeys, press, showHelp, showTool } from "./keys.js";
import { classColour, drawAnswer, drawKernels, drawLabels, drawWishes, idsOf } from "./labels.js";
import { css, heat } from "./masks.js";
import { isBackground, listenToPointer } from "./pointer.js";
import { View } from "./view.js";

const view = course.view = new View($("canvas"));
const KEYS = [
  ["Click", "label with the chosen class"], ["Right click, Shift+click, -", "label as background"], ["1 to 9", "class"],
  ["S, C, B", "superpixels, clicks, scribbles"], ["T", "teach: learn what is labelled"], ["Enter", "next photo"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo (until it is taught)"], ["Wheel, two fingers, 0", "zoom, whole photo"], ["Space+drag, drag", "move"], ["H", "hide everything but the photo"],
];
const layers = { answer: document.createElement("canvas"), heat: document.createElement("canvas"), labels: document.createElement("canvas"), wishes: document.createElement("canvas") };

let ids = null;                          // superpixel of each pixel
let chosen = 1, tool = "superpixel", hidden = false, hovered = null;
let heatOf = "", segmentsOf = "";        // of which photo the map and the superpixels are

// --- what is shown

let opening = 0;   // of the photos that were asked for the last one is shown

// `again`: what is shown is only read again, and another photo that was asked for still comes.
async function open(key, again = false) {
  const number = again ? opening : ++opening;
  const [told, picture] = await Promise.all([get(`/api/photos/${key}`), pictureOf(`/api/photos/${key}/picture`)]);
  const fresh = course.item?.key !== key;
  if (number !== opening || (again && fresh) || (!fresh && told.version < course.item.version)) return;
  course.item = told;
  if (fresh) { view.show(picture); ids = null; heatOf = segmentsOf = ""; startClock(); }
  await show();
}

async function show() {
  const { item } = course;
  if (!item) return;
  drawAnswer(layers.answer, item, Number($("opacity").value) / 100);
  drawLabels(layers.labels, item);
  await Promise.all([showHeat(), showSegments()]);
  showWishes();
  showPanels();
}

function markOfHeat() {
  const { item } = course, wanted = $("heat").value;
  return item.current && wanted ? `${item.key} ${item.round} ${wanted}` : "";
}

async function showHeat() {
  const { item } = course, wanted = $("heat").value, mark = markOfHeat();
  if (mark && mark !== heatOf) {
    const picture = await pictureOf(`/api/photos/${item.key}/map/${wanted}`).catch(() => null);
    if (!picture || mark !== markOfHeat()) return;   // another photo or map is shown by now
    drawHeat(layers.heat, picture);
  }
  heatOf = mark;
}

function drawHeat(canvas, picture) {
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

async function showSegments() {
  const { item } = course;
  if (!item.current || segmentsOf === item.key) return;
  const picture = await pictureOf(`/api/photos/${item.key}/map/segments`).catch(() => null);
  if (!picture || item.key !== course.item.key) return;
  ids = idsOf(picture);
  segmentsOf = item.key;
}

function showWishes() {
  const { item } = course, usable = ids && isOpen();
  drawWishes(layers.wishes, ids, item.size, usable && $("wishes").checked ? item.wished : [], usable && tool === "superpixel" ? hovered : null);
  view.layers = hidden ? [] : [heatOf ? layers.heat : layers.answer, layers.labels, layers.wishes];
  view.draw();
}

function showPanels() {
  const { item, lessons, status } = course;
  if (!lessons) return;
  showCourse();
  $("classes").replaceChildren(...lessons.classes.map(classButton));
  showTool(tool);
  $("canvas").style.cursor = tool === "pan" || held.space ? "grab" : tool === "scribble" ? "none" : "crosshair";
  $("undo").disabled = !isWaiting() || !item.undo;
  $("redo").disabled = !isWaiting() || !item.redo;
  $("banner").hidden = !item || item.current || !status.key || ["learning", "preparing"].includes(status.state);
  $("banner").firstElementChild.textContent = "This photo is done; it is shown as it was answered then.";
  $("facts").textContent = item ? factsOf(item, lessons.photos.find((one) => one.key === item.key)).join(" · ") : "";
  $("tasks").replaceChildren(...lessons.photos.map(taskRow));
}

function classButton(name, label) {
  const button = make("button", "", { className: label === chosen ? "on" : "", onclick: () => choose(label) }), dot = make("i");
  dot.style.background = css(classColour(label));
  button.append(dot, name);
  if (label && label < 10) button.append(" ", make("kbd", String(label)));
  return button;
}

function factsOf(item, row) {
  const facts = [plural(item.labels, "label"), `${plural(item.round, "round")} taught`];
  if (item.new) facts.push(`${item.new} to be taught`);
  const measured = [row?.before, row?.iou].filter((one) => one != null);
  if (measured.length) facts.push(`IoU ${measured.map((one) => one.toFixed(3)).join(" → ")}`);
  return facts;
}

function taskRow(one, i) {
  const row = rowOf(one, `${i + 1} ${one.name}`, [one.rounds && `${one.labels} labels`, one.iou != null && `IoU ${one.iou.toFixed(3)}`]);
  if (one.neighbour) {
    const [task, distance, near] = one.neighbour, other = task < 0 ? "one from before" : `photo ${task + 1}`;
    row.append(make("small", `${near ? "began with the kernels of" : "not near enough to"} ${other}, distance ${distance.toPrecision(3)}`));
  }
  if (one.activation.length) row.append(drawKernels(one.activation));
  return row;
}

// --- pointer, keys and buttons

function choose(label) { chosen = label; showPanels(); }
function setTool(name) { tool = name; view.cursor = null; showPanels(); if (course.item) showWishes(); }

const radius = () => (tool === "scribble" ? Number($("radius").value) : null);
const labelOf = (event) => (isBackground(event) ? 0 : chosen);

function hover(place) {
  const { item } = course, over = place && item && ids ? ids[Math.floor(place[0]) * item.size[1] + Math.floor(place[1])] ?? null : null;
  if (over === hovered || !item) return;
  hovered = over;
  if (tool === "superpixel") showWishes();
}

listenToPointer(view, {
  ready: () => course.item,
  tool: () => tool,
  stroke: (event) => (tool === "scribble" ? { radius: radius(), label: labelOf(event) } : null),
  radius,
  hover,
  draw: (path) => {
    if (isOpen()) act({ do: "label", kind: "scribble", ...path });
    else { view.settle(path); view.draw(); sayClosed(); }
  },
  click: ([y, x], event, down) => {
    if (isOpen()) act({ do: "label", kind: tool, y, x, label: labelOf(down) }); else sayClosed();
  },
});

const help = () => showHelp(KEYS);

listenToKeys({
  ready: () => course.item,
  changed: showPanels,
  undo: () => press("undo"),
  redo: () => press("redo"),
  digit: (label) => { if (course.lessons.classes[label]) choose(label); },
  keys: {
    s: () => setTool("superpixel"), c: () => setTool("click"), b: () => setTool("scribble"), t: () => press("teach"), Enter: () => press("next"),
    h: () => { hidden = !hidden; showWishes(); }, 0: () => view.fit(), "?": help,
  },
});
listenToButtons({
  teach: () => act({ do: "teach" }), next: () => act({ do: "next" }), cancel: () => act({ do: "cancel" }), undo: () => act({ do: "undo" }),
  redo: () => act({ do: "redo" }), export: write, help, fit: () => view.fit(), back: () => course.status.key && openOrSay(course.status.key),
}, setTool);
$("opacity").addEventListener("input", show);
$("wishes").addEventListener("change", () => { showWishes(); $("wishes").blur(); });
$("heat").addEventListener("change", () => { show(); $("heat").blur(); });

await runCourse({
  open, show, showPanels, take: (told) => { course.item = told; }, end: "All photos are done. Export writes masks and transfer.json.",
});
