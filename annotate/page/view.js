// What is seen: the photo, the layers over it, the clicks, the brush; and where on the photo a pointer is.

const CLICK = { object: "#46c46a", background: "#f0444e", boundary: "#3d7bff" };

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.scale = 1;
    this.aspect = 1;                  // how much higher than wide a pixel is
    this.upwards = false;             // is the first row the lowest one
    this.left = this.top = 0;
    this.photo = null;
    this.layers = [];
    this.clicks = [];
    this.path = null;                 // a stroke, until its answer is there
    this.drawing = false;             // is it still being drawn
    this.cursor = null;
    this.cross = null;
    this.waiting = false;
    this.interrupt = () => {};        // drops what a pointer is doing
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  resized() {
    const { width, height } = this.canvas.getBoundingClientRect(), dots = devicePixelRatio || 1;
    const fresh = !this.width;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * dots);
    this.canvas.height = Math.round(height * dots);
    if (fresh) this.fit();
    this.draw();
  }

  show(photo) {
    this.interrupt();                 // a stroke that began on another photo is none of this one
    this.photo = photo;
    this.fit();
  }

  fit() {
    if (!this.photo || !this.width) return;
    this.scale = Math.min((this.width - 24) / this.photo.width, (this.height - 24) / (this.photo.height * this.aspect));
    this.left = (this.width - this.photo.width * this.scale) / 2;
    this.top = (this.height - this.photo.height * this.aspect * this.scale) / 2;
    this.draw();
  }

  zoom(factor, x, y) {
    const scale = Math.min(64, Math.max(0.02, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.draw();
  }

  move(x, y) {
    this.left += x;
    this.top += y;
    this.draw();
  }

  // [y, x] on the photo of a pointer; pixel (row, column) covers [row, row + 1) x [column, column + 1).
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const down = (event.clientY - box.top - this.top) / (this.scale * this.aspect), x = (event.clientX - box.left - this.left) / this.scale;
    return [this.upwards ? this.photo.height - down : down, x];
  }

  has([y, x]) { return y >= 0 && x >= 0 && y < this.photo.height && x < this.photo.width; }

  // The answer to what was done is there; `path` is the stroke that was shown then. One that is being drawn meanwhile stays.
  settle(path) {
    this.waiting = false;
    if (this.path === path && !this.drawing) this.path = null;
  }

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.drawNow(); });
  }

  drawNow() {
    const { pen, photo, scale } = this, dots = this.canvas.width / this.width || 1;   // what the canvas has, wherever the window is now
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (!photo) return;
    pen.translate(this.left, this.top);
    if (this.upwards) pen.transform(1, 0, 0, -1, 0, photo.height * scale * this.aspect);
    pen.imageSmoothingEnabled = scale < 2;
    pen.drawImage(photo, 0, 0, photo.width * scale, photo.height * scale * this.aspect);
    pen.imageSmoothingEnabled = false;
    for (const layer of this.layers) pen.drawImage(layer, 0, 0, photo.width * scale, photo.height * scale * this.aspect);
    if (this.cross) this.drawCross();
    if (this.path) this.drawPath();
    this.clicks.forEach((click, i) => this.drawClick(click, i === this.clicks.length - 1));
    if (this.cursor) {
      pen.beginPath();
      const { x, y, radius } = this.cursor;
      pen.ellipse(x * scale, y * scale * this.aspect, radius * scale, radius * scale * this.aspect, 0, 0, 7);
      pen.strokeStyle = "#fff";
      pen.lineWidth = 1;
      pen.stroke();
    }
  }

  // The planes that cut this one: a line at (y, x) each way, open where they meet.
  drawCross() {
    const { pen, photo, scale, cross: [y, x] } = this, down = scale * this.aspect, gap = 8;
    const column = (x + 0.5) * scale, row = (y + 0.5) * down;
    pen.strokeStyle = "#ffd84daa";
    pen.lineWidth = 1;
    pen.beginPath();
    for (const [from, to] of [[0, row - gap], [row + gap, photo.height * down]]) if (to > from) { pen.moveTo(column, from); pen.lineTo(column, to); }
    for (const [from, to] of [[0, column - gap], [column + gap, photo.width * scale]]) if (to > from) { pen.moveTo(from, row); pen.lineTo(to, row); }
    pen.stroke();
  }

  drawPath() {
    const { pen, scale, path } = this;
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = 2 * path.radius * scale;
    pen.strokeStyle = path.label ? "#46c46a88" : "#f0444e88";
    pen.beginPath();
    const down = scale * this.aspect;
    path.points.forEach(([y, x], i) => (i ? pen.lineTo((x + 0.5) * scale, (y + 0.5) * down) : pen.moveTo((x + 0.5) * scale, (y + 0.5) * down)));
    if (path.points.length === 1) pen.lineTo((path.points[0][1] + 0.5) * scale + 0.1, (path.points[0][0] + 0.5) * down);
    pen.stroke();
  }

  drawClick([y, x, label, kind], newest) {
    const { pen, scale } = this;
    pen.beginPath();
    pen.arc((x + 0.5) * scale, (y + 0.5) * scale * this.aspect, newest ? 6 : 4.5, 0, 7);
    pen.fillStyle = kind === "boundary" ? CLICK.boundary : label ? CLICK.object : CLICK.background;
    pen.globalAlpha = newest && this.waiting ? 0.55 : 1;
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#fff";
    pen.stroke();
    pen.globalAlpha = 1;
  }
}
