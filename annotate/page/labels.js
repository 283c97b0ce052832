// Pictures of lessons: superpixels that are wished for, labels over an answer, kernels that are switched on.

import { colourOf, decode, paint } from "./masks.js";

// Superpixel of each pixel, from a picture whose colours are their numbers.
export function idsOf(picture) {
  const pen = new OffscreenCanvas(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0);
  const { data } = pen.getImageData(0, 0, picture.width, picture.height), ids = new Int32Array(picture.width * picture.height);
  for (let i = 0; i < ids.length; i++) ids[i] = (data[4 * i] << 16) | (data[4 * i + 1] << 8) | data[4 * i + 2];
  return ids;
}

export const classColour = (label) => (label === 0 ? [150, 156, 165] : colourOf(label));

// The answer under the labels, into a canvas.
export function drawAnswer(canvas, photo, opacity) {
  const [height, width] = photo.size;
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d"), image = pen.createImageData(width, height), layers = [];
  for (const [label, counts] of Object.entries(photo.answer)) layers.push({ mask: decode(counts, height, width), colour: classColour(Number(label)) });
  paint(image, layers, opacity);
  pen.putImageData(image, 0, 0);
}

// Labels as outlined patches of their class, twice as large as the photo so that outlines are thin.
export function drawLabels(canvas, photo) {
  const [height, width] = photo.size;
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  const pen = canvas.getContext("2d");
  for (const [label, counts] of Object.entries(photo.annotation)) {
    const mask = decode(counts, height, width), [red, green, blue] = classColour(Number(label));
    pen.fillStyle = `rgb(${red} ${green} ${blue} / 0.6)`;
    for (let i = 0; i < mask.length; i++) if (mask[i]) pen.fillRect(2 * (i % width), 2 * Math.floor(i / width), 2, 2);
    outline(pen, (i) => mask[i], width, height, "#fff");
  }
}

// Outlines of some superpixels; one of them is under the pointer.
export function drawWishes(canvas, ids, size, wished, hovered) {
  const [height, width] = size;
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  const pen = canvas.getContext("2d");
  wished.forEach((id) => outline(pen, (i) => ids[i] === id, width, height, "#ffd84d"));
  if (hovered !== null) outline(pen, (i) => ids[i] === hovered, width, height, "#fff");
}

// Draw the border between pixels that are inside and those that are not, one dot of a canvas of twice the size wide, on the inner side.
function outline(pen, inside, width, height, colour) {
  pen.fillStyle = colour;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!inside(i)) continue;
      if (!y || !inside(i - width)) pen.fillRect(2 * x, 2 * y, 2, 1);
      if (y === height - 1 || !inside(i + width)) pen.fillRect(2 * x, 2 * y + 1, 2, 1);
      if (!x || !inside(i - 1)) pen.fillRect(2 * x, 2 * y, 1, 2);
      if (x === width - 1 || !inside(i + 1)) pen.fillRect(2 * x + 1, 2 * y, 1, 2);
    }
  }
}

// A row a layer, a column a kernel; light is switched on.
export function drawKernels(activation) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(...activation.map((layer) => layer.length));
  canvas.height = activation.length;
  const pen = canvas.getContext("2d");
  activation.forEach((layer, y) => [...layer].forEach((digit, x) => {
    pen.fillStyle = `hsl(215 85% ${8 + 7 * Number(digit)}%)`;
    pen.fillRect(x, y, 1, 1);
  }));
  canvas.title = "Kernels that are switched on: a row a layer";
  return canvas;
}
