// Masks: COCO's compressed run lengths, which go down the columns, and the picture of all of them over a photo.

export function decode(counts, height, width) {
  const mask = new Uint8Array(height * width);
  const runs = [];
  let place = 0, value = false;
  for (let i = 0; i < counts.length;) {
    let run = 0, shift = 0, bits;
    do {
      bits = counts.charCodeAt(i++) - 48;
      run |= (bits & 31) << shift;
      shift += 5;
    } while (bits & 32);
    if (bits & 16) run |= shift < 32 ? -1 << shift : 0;
    if (runs.length > 2) run += runs[runs.length - 2];
    runs.push(run);
    if (value) for (let k = place, end = place + run; k < end; k++) mask[(k % height) * width + Math.floor(k / height)] = 1;
    place += run;
    value = !value;
  }
  return mask;
}

export function encode(mask, height, width) {
  const runs = [];
  let value = 0, run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (mask[y * width + x] !== value) { runs.push(run); run = 0; value = 1 - value; }
      run++;
    }
  }
  runs.push(run);
  let text = "";
  runs.forEach((count, i) => {
    let rest = i > 2 ? count - runs[i - 2] : count, more = true;
    while (more) {
      let bits = rest & 31;
      rest >>= 5;
      more = bits & 16 ? rest !== -1 : rest !== 0;
      if (more) bits |= 32;
      text += String.fromCharCode(bits + 48);
    }
  });
  return text;
}

// Colours that neighbours in a list do not share: hues by the golden angle.
export function colourOf(number) {
  const hue = (205 + number * 137.508) % 360, light = [0.6, 0.5, 0.68][number % 3], spread = 0.85 * Math.min(light, 1 - light);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - spread * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

// Paint layers {mask, colour, strong} into an ImageData; a strong one has an outline of its full colour.
export function paint(image, layers, opacity) {
  const { width, height } = image, pixels = new Uint32Array(image.data.buffer);
  pixels.fill(0);
  for (const { mask, colour: [red, green, blue], strong } of layers) {
    const rgb = (blue << 16) | (green << 8) | red;
    const inner = (rgb | (Math.round(255 * opacity * (strong ? 1 : 0.75)) << 24)) >>> 0, edge = (rgb | (255 << 24)) >>> 0;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!mask[i]) continue;
        const within = x > 0 && x < width - 1 && y > 0 && y < height - 1 && mask[i - 1] && mask[i + 1] && mask[i - width] && mask[i + width];
        pixels[i] = within ? inner : strong ? edge : inner;
      }
    }
  }
}

// Colour a picture of probabilities: blue is unsure of the object, yellow sure; or how unsure it is.
export function heat(image, uncertainty) {
  const { data } = image;
  for (let i = 0; i < data.length; i += 4) {
    const p = data[i] / 255, v = uncertainty ? 1 - Math.abs(2 * p - 1) : p;
    data[i] = 255 * Math.min(1, 1.7 * v);
    data[i + 1] = 255 * (0.12 + 0.78 * v * v);
    data[i + 2] = 255 * Math.max(0, uncertainty ? 0.25 - 0.2 * v : 0.55 - 0.5 * v);
    data[i + 3] = uncertainty ? 230 * v : 175;
  }
}
