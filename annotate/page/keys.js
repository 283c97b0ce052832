// The keyboard and the buttons of a page.

import { $, make } from "./dom.js";

// Keys that do their work once, however long they are held.
const ONCE = new Set(["Enter", "Delete", "Backspace", "Escape", "ArrowLeft", "ArrowRight"]);

// What is held down: space, a key; background, a button that stays down and says of every click and stroke what Shift says of one.
export const held = { space: false, background: false };

// keys: what each key does. digit(n): what 1 to 9 do (optional). undo, redo: Ctrl+Z, Ctrl+Y. ready(): are keys heard.
// changed(): space went down or up, which changes the pointer's shape.
export function listenToKeys({ keys, digit, undo, redo, ready, changed }) {
  addEventListener("keydown", (event) => {
    if ($("keys").open || !ready() || isWriting(event.target)) return;
    // brackets lie behind AltGr or Option on many keyboards
    const composed = event.getModifierState("AltGraph") || (event.altKey && "[]".includes(event.key));
    if ((event.ctrlKey || event.metaKey) && !composed) {
      const key = event.key.toLowerCase();
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      (key === "y" || event.shiftKey ? redo : undo)();
      return;
    }
    if ((event.altKey && !composed) || isOwn(event)) return;
    if (event.key === " ") {
      event.preventDefault();
      if (!held.space) { held.space = true; changed(); }
      return;
    }
    if (event.repeat && ONCE.has(event.key)) { event.preventDefault(); return; }
    if (event.key === "-") {
      event.preventDefault();
      if (!event.repeat) turnBackground();
      return;
    }
    const work = /^[1-9]$/.test(event.key) && digit ? () => digit(Number(event.key)) : keys[event.key] ?? keys[event.key.toLowerCase()];
    if (work) { event.preventDefault(); work(); }
  });
  const release = () => {
    if (!held.space) return;
    held.space = false;
    changed();
  };
  addEventListener("keyup", (event) => { if (event.key === " ") release(); });
  addEventListener("blur", release);   // the key goes up where nobody hears it
}

const PRESSED = new Set(["range", "checkbox", "file"]);   // inputs in which nobody writes
const isWriting = (target) => target.tagName === "SELECT" || (target.tagName === "INPUT" && !PRESSED.has(target.type));

// What a slider, a box or a button in focus does with a key itself.
function isOwn(event) {
  const { key, target } = event;
  if (target.type === "range") return key.startsWith("Arrow");
  if (target.type === "checkbox") return key === " ";
  return (target.tagName === "BUTTON" || target.type === "file") && (key === "Enter" || key === " ");
}

// works: what each button does, by its id. setTool(name): what the buttons of tools do.
export function listenToButtons(works, setTool) {
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => { setTool(button.dataset.tool); button.blur(); });
  for (const [id, work] of Object.entries(works)) $(id).addEventListener("click", (event) => { work(); event.currentTarget.blur(); });
  $("background").addEventListener("click", (event) => { turnBackground(); event.currentTarget.blur(); });
  $("keys").addEventListener("click", () => $("keys").close());
}

function turnBackground() {
  held.background = !held.background;
  $("background").classList.toggle("on", held.background);
  $("background").setAttribute("aria-pressed", held.background);
}

export function press(id) { if (!$(id).disabled) $(id).click(); }

export function showTool(tool) {
  for (const button of document.querySelectorAll("[data-tool]")) button.classList.toggle("on", button.dataset.tool === tool);
}

export function showHelp(rows) {
  const list = make("dl");
  for (const [keys, what] of rows) list.append(make("dt", keys), make("dd", what));
  $("keys").replaceChildren(list);
  $("keys").showModal();
}
