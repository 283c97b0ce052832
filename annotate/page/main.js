// The annotator's page: pointer, keys and buttons. The server has the truth of what was done; the page shows it, and asks for more.

import { $ } from "./dom.js";
import { held, listenToButtons, listenToKeys, showHelp, showTool } from "./keys.js";
import { say } from "./notice.js";
import { showOverlay } from "./overlay.js";
import { showPanels, showProject } from "./panels.js";
import { actOnChosen, cancel, choose, finish, open, openFrom, page, redo, refresh, remove, setCategory, startFrom, step, thing, undo, write } from "./photo.js";
import { isBackground, listenToPointer } from "./pointer.js";
import { View } from "./view.js";

const KEYS = [
  ["Click", "object"], ["Right click, Shift+click, -", "background"],
  ["Middle click, Alt+click, O", "boundary, where the network knows such"],
  ["Wheel, two fingers, 0", "zoom, whole photo"], ["Space+drag, drag", "move"], ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["N", "next object"],
  ["Enter", "finish the photo"], ["Esc", "cancel what was done since the object was chosen"], ["← →", "photo before, after"],
  ["1 to 9", "class"], ["C, B, E", "click, brush, eraser"], ["[ ]", "size of the brush"], ["H", "hide everything but the photo"],
  ["Delete", "remove the object"],
];
const view = new View($("canvas"));
let tool = "click", hidden = false;

page.view = view;
page.showProject = showProject;
page.show = () => {
  if (!page.photo) return;
  showOverlay(hidden);
  showPanels();
  showTool(tool);
  document.querySelector("[data-tool=boundary]").hidden = !knowsBoundary();
  showPointer();
};

function showPointer() { $("canvas").style.cursor = tool === "pan" || held.space ? "grab" : clicks() ? "crosshair" : "none"; }

const knowsBoundary = () => page.project.kinds.includes("boundary");
const clicks = () => tool === "click" || tool === "boundary";
const draws = () => tool === "brush" || tool === "eraser";
const radius = () => (draws() ? Number($("radius").value) : null);

// Label of a click or a stroke: of a network of classes, that of the chosen class.
function labelOf(event) {
  const { outputs, classes } = page.project;
  if (isBackground(event) || tool === "eraser") return 0;
  return outputs > 1 ? Math.min(outputs - 1, classes.indexOf(page.category) + 1) : 1;
}

function click([y, x], event, down) {
  if (!clicks()) return;
  if (!page.photo.mine) { say("Another tab annotates this photo; take it over first.", true); return; }
  const kind = tool === "boundary" || down.button === 1 || event.altKey ? "boundary" : "region";
  if (!page.project.kinds.includes(kind)) { say("This network knows no clicks on the boundary."); return; }
  const label = labelOf(down);
  view.clicks = [...(thing()?.clicks ?? []), [y, x, label, kind]];
  view.waiting = true;
  view.draw();
  actOnChosen({ do: "click", y, x, label, kind });
}

listenToPointer(view, {
  ready: () => page.photo,
  tool: () => tool,
  middle: knowsBoundary,
  stroke: (event) => (draws() && page.photo.mine ? { radius: radius(), label: labelOf(event) } : null),
  radius,
  draw: (path) => actOnChosen({ do: "stroke", ...path }),
  click,
});

function setTool(name) { tool = name; view.cursor = null; page.show(); }

function setRadius(by) {
  $("radius").value = Number($("radius").value) + by;
  if (view.cursor) { view.cursor.radius = radius(); view.draw(); }
}

const help = () => showHelp(KEYS);

listenToKeys({
  ready: () => page.photo,
  changed: showPointer,
  undo,
  redo,
  digit: (number) => { const name = page.project.classes[number - 1]; if (name) setCategory(name); },
  keys: {
    n: () => choose(null), Enter: finish, Escape: cancel, ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    h: () => { hidden = !hidden; page.show(); }, c: () => setTool("click"), o: () => knowsBoundary() && setTool("boundary"), b: () => setTool("brush"), e: () => setTool("eraser"),
    "[": () => setRadius(-2), "]": () => setRadius(2), 0: () => view.fit(), Delete: () => page.chosen !== null && remove(page.chosen), "?": help,
  },
});
listenToButtons({
  previous: () => step(-1), next: () => step(1), finish, export: () => write(Number($("tolerance").value)), help, undo, redo,
  fit: () => view.fit(), new: () => choose(null), take: () => open(page.photo.key, { take_over: true }),
}, setTool);
$("photos").addEventListener("change", () => { open($("photos").value).then(refresh).catch((error) => say(error.message, true)); $("photos").blur(); });
$("opacity").addEventListener("input", () => page.show());
$("heat").addEventListener("change", () => { page.show(); $("heat").blur(); });
$("tolerance").addEventListener("input", () => { $("tolerance-shown").textContent = $("tolerance").value; });
$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  $("file").value = "";
  if (file && page.photo) await startFrom(file);
});

try { await refresh(); } catch (error) { say(`The photos cannot be listed: ${error.message}. Reload the page.`, true); throw error; }
page.category = page.project.classes[0];
const { photos } = page.project, named = photos.find((one) => one.key === location.hash.slice(1));
if (named) await open(named.key); else await openFrom(photos);
if (!page.photo) await open(photos[0].key);
