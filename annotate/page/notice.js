// Lines that a page tells a person: one that passes, and one while something lasts.

import { $ } from "./dom.js";

let toastEnds;
export function say(line, bad = false) {
  $("toast").textContent = line;
  $("toast").classList.toggle("bad", bad);
  $("toast").hidden = false;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { $("toast").hidden = true; }, bad ? 7000 : 4000);
}

export function busy(word) { $("busy").textContent = word; }

export function away(is) { busy(is ? "the server is away; it is asked again" : ""); }

// Have the export written, and tell what it says.
export async function writeExport(ask) {
  busy("writing");
  try {
    const { out, notes } = await ask();
    say([`Written to ${out}`, ...notes.slice(0, 6)].join("\n"));
  } catch (error) { say(error.message, true); }
  busy("");
}
