// The panels beside the photo: classes, objects, facts; and how far the folder is.

import { $, make } from "./dom.js";
import { colourOf, css } from "./masks.js";
import { choose, page, remove, setCategory, thing, things } from "./photo.js";

export function showPanels() {
  const { photo, project } = page, one = thing(), present = things();
  $("classes").replaceChildren(...project.classes.map(classButton));
  const hint = photo.start ? "Click where the answer is wrong." : "Click on an object in the photo.";
  $("things").replaceChildren(...(present.length ? present.map(rowOf) : [make("li", hint, { className: "empty" })]));
  $("undo").disabled = !(one?.actions || (page.chosen === null && photo.last != null));
  $("redo").disabled = !(one ?? photo.things.get(photo.last))?.undone;
  $("finish").textContent = photo.finished ? "Reopen" : "Finish";
  $("banner").hidden = photo.mine;
  $("banner").firstElementChild.textContent = "Another tab annotates this photo; here it is only shown.";
  const facts = [`${photo.size[1]} × ${photo.size[0]}`];
  if (one?.seconds) facts.push(`answered in ${Math.round(1000 * one.seconds)} ms`);
  if (one?.spent) facts.push(`${one.spent} s on this object`);
  $("facts").textContent = facts.join(" · ");
}

function classButton(name, i) {
  const button = make("button", name, { className: name === page.category ? "on" : "", onclick: () => setCategory(name) });
  if (i < 9) button.append(" ", make("kbd", String(i + 1)));
  return button;
}

function rowOf(one) {
  const row = make("li", "", { className: one.number === page.chosen ? "on" : "", onclick: () => choose(one.number) });
  const swatch = make("i"), count = one.clicks.length;
  swatch.style.background = css(colourOf(one.number));
  const facts = `${count} click${count === 1 ? "" : "s"}${one.iou == null ? "" : ` · IoU ${one.iou.toFixed(3)}`}`;
  const gone = make("button", "×", { title: "Remove (Delete)", onclick: (event) => { event.stopPropagation(); remove(one.number); } });
  row.append(swatch, make("span", `${one.number} ${one.category}`), make("small", facts), gone);
  return row;
}

export function showProject() {
  const { photo, project } = page, finished = project.photos.filter((one) => one.finished).length;
  $("photos").replaceChildren(...project.photos.map(optionOf));
  if (photo) $("photos").value = photo.key;
  const place = project.photos.findIndex((one) => one.key === photo?.key);
  $("place").textContent = place < 0 ? "" : `${place + 1} of ${project.photos.length}`;
  $("progress").firstElementChild.style.width = `${(100 * finished) / project.photos.length}%`;
  $("done").textContent = `${finished} finished`;
  document.title = photo ? `${photo.name} – annotate` : "Annotate";
}

function optionOf(one) {
  const mark = one.finished ? "✓ " : one.objects ? "· " : "";
  return make("option", `${mark}${one.name}`, { value: one.key });
}
