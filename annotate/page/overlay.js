// What lies over the photo: the objects' masks, a network's first answer, probability and uncertainty.

import { $ } from "./dom.js";
import { pictureOf } from "./api.js";
import { colourOf, decode, heat, paint } from "./masks.js";
import { page, thing, things } from "./photo.js";

const overlay = document.createElement("canvas"), warm = document.createElement("canvas");
const decoded = new Map();   // masks of the photo `of` by object and label, with the run lengths that they are of
let of = null, heatOf = "";

export function showOverlay(hidden) {
  const { photo, view } = page, [height, width] = photo.size;
  if (of !== photo.key) { decoded.clear(); of = photo.key; }
  if (overlay.width !== width || overlay.height !== height) { overlay.width = width; overlay.height = height; }
  const pen = overlay.getContext("2d"), image = pen.createImageData(width, height);
  paint(image, layers(), Number($("opacity").value) / 100);
  pen.putImageData(image, 0, 0);
  view.clicks = hidden ? [] : thing()?.clicks ?? [];
  showHeat(hidden);
  view.draw();
}

// The chosen object is painted last; where there is none, a network of classes shows what it says without clicks.
function layers() {
  const present = things(), chosen = thing();
  if (!present.length) return partsOf({ number: 0, runs: page.photo.start ?? {} }, false);
  const others = present.filter((one) => one !== chosen), shown = present.includes(chosen) ? [...others, chosen] : others;
  return shown.flatMap((one) => partsOf(one, one === chosen));
}

function partsOf(one, strong) {
  return Object.entries(one.runs).map(([label, counts]) => {
    const colour = colourOf(page.project.outputs > 1 ? Number(label) : one.number);
    return { mask: maskOf(one.number, label, counts), colour, strong };
  });
}

function maskOf(number, label, counts) {
  const key = `${number} ${label}`, known = decoded.get(key);
  if (known?.counts === counts) return known.mask;
  const mask = decode(counts, ...page.photo.size);
  decoded.set(key, { counts, mask });
  return mask;
}

const markOf = (wanted) => `${page.photo.key} ${page.chosen} ${page.photo.version} ${wanted}`;

async function showHeat(hidden) {
  const { photo, view } = page, wanted = $("heat").value;
  const mark = wanted && thing()?.clicks.length ? markOf(wanted) : "";
  view.layers = hidden ? [] : mark && mark === heatOf ? [warm, overlay] : [overlay];
  if (!mark || mark === heatOf) return;
  const picture = await pictureOf(`/api/photos/${photo.key}/probability/${page.chosen}`).catch(() => null);
  if (!picture || mark !== markOf($("heat").value)) return;
  drawHeat(picture, wanted === "uncertainty");
  heatOf = mark;
  view.layers = hidden ? [] : [warm, overlay];
  view.draw();
}

function drawHeat(picture, uncertainty) {
  warm.width = picture.width;
  warm.height = picture.height;
  const pen = warm.getContext("2d");
  pen.drawImage(picture, 0, 0);
  const image = pen.getImageData(0, 0, warm.width, warm.height);
  heat(image, uncertainty);
  pen.putImageData(image, 0, 0);
}
