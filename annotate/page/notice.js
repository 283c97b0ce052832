// Lines that a page tells a person: one that passes, and one while something lasts.

const $ = (id) => document.getElementById(id);

let toastEnds;
export function say(line, bad = false) {
  $("toast").textContent = line;
  $("toast").classList.toggle("bad", bad);
  $("toast").hidden = false;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { $("toast").hidden = true; }, bad ? 7000 : 4000);
}

export function busy(word) { $("busy").textContent = word; }
