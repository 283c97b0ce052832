// Planes of a volume: what its slices look like, and what lies over them.

export const NAMES = ["axial", "coronal", "sagittal"];
export const COLOURS = { drawn: [110, 168, 254], proxy: [255, 180, 84], answer: [70, 196, 106] };

// Axes within a slice that is counted along an axis, and where a voxel lies in it.
export const within = (axis) => [0, 1, 2].filter((other) => other !== axis);

// Is the first row of a plane the lowest one: volumes are in LPS, and what is superior is shown at the top (the letters in volume.html say so).
export const isUpwards = (axis) => axis !== 0;

// By how much a slice's number grows one step upwards on the planes that show it as a line, or to the left.
export const upwards = (axis) => (axis === 0 ? 1 : -1);

// Values of a slice, row by row, of a volume in C order.
export function sliceOf(volume, size, axis, number) {
  const [depth, height, width] = size, [first, second] = within(axis), rows = size[first], columns = size[second];
  const strides = [height * width, width, 1], found = new Uint8Array(rows * columns);
  let place = 0;
  for (let r = 0; r < rows; r++) {
    let at = number * strides[axis] + r * strides[first];
    for (let c = 0; c < columns; c++, at += strides[second]) found[place++] = volume[at];
  }
  return found;
}

export function greyCanvas(values, rows, columns) {
  const canvas = new OffscreenCanvas(columns, rows), pen = canvas.getContext("2d"), image = pen.createImageData(columns, rows);
  for (let i = 0; i < values.length; i++) image.data.set([values[i], values[i], values[i], 255], 4 * i);
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Masks {mask, colour}, the first ones lowest, each with an outline; `fill` is what lies within.
export function maskCanvas(masks, rows, columns, fill) {
  const canvas = new OffscreenCanvas(4 * columns, 4 * rows), pen = canvas.getContext("2d");
  for (const { mask, colour: [red, green, blue] } of masks) {
    for (let y = 0, i = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++, i++) {
        if (!mask[i]) continue;
        pen.fillStyle = `rgb(${red} ${green} ${blue} / ${fill})`;
        pen.fillRect(4 * x, 4 * y, 4, 4);
        pen.fillStyle = `rgb(${red} ${green} ${blue})`;
        if (!y || !mask[i - columns]) pen.fillRect(4 * x, 4 * y, 4, 1);
        if (y === rows - 1 || !mask[i + columns]) pen.fillRect(4 * x, 4 * y + 3, 4, 1);
        if (!x || !mask[i - 1]) pen.fillRect(4 * x, 4 * y, 1, 4);
        if (x === columns - 1 || !mask[i + 1]) pen.fillRect(4 * x + 3, 4 * y, 1, 4);
      }
    }
  }
  return canvas;
}
