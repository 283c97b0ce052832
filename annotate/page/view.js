// What is seen: the photo, the layers over it, the clicks, the brush; and where on the photo a pointer is.

const CLICK = { object: "#46c46a", background: "#f0444e", boundary: "#3d7bff" };

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.scale = 1;
    this.left = this.top = 0;
    this.photo = null;
    this.layers = [];
    this.clicks = [];
    this.path = null;
    this.cursor = null;
    this.waiting = false;
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
    this.photo = photo;
    this.fit();
  }

  fit() {
    if (!this.photo || !this.width) return;
    this.scale = Math.min((this.width - 24) / this.photo.width, (this.height - 24) / this.photo.height);
    this.left = (this.width - this.photo.width * this.scale) / 2;
    this.top = (this.height - this.photo.height * this.scale) / 2;
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
    return [(event.clientY - box.top - this.top) / this.scale, (event.clientX - box.left - this.left) / this.scale];
  }

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.drawNow(); });
  }

  drawNow() {
    const { pen, photo, scale } = this, dots = devicePixelRatio || 1;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (!photo) return;
    pen.translate(this.left, this.top);
    pen.imageSmoothingEnabled = scale < 2;
    pen.drawImage(photo, 0, 0, photo.width * scale, photo.height * scale);
    pen.imageSmoothingEnabled = false;
    for (const layer of this.layers) pen.drawImage(layer, 0, 0, photo.width * scale, photo.height * scale);
    if (this.path) this.drawPath();
    this.clicks.forEach((click, i) => this.drawClick(click, i === this.clicks.length - 1));
    if (this.cursor) {
      pen.beginPath();
      pen.arc(this.cursor.x * scale, this.cursor.y * scale, this.cursor.radius * scale, 0, 7);
      pen.strokeStyle = "#fff";
      pen.lineWidth = 1;
      pen.stroke();
    }
  }

  drawPath() {
    const { pen, scale, path } = this;
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = 2 * path.radius * scale;
    pen.strokeStyle = path.label ? "#46c46a88" : "#f0444e88";
    pen.beginPath();
    path.points.forEach(([y, x], i) => (i ? pen.lineTo((x + 0.5) * scale, (y + 0.5) * scale) : pen.moveTo((x + 0.5) * scale, (y + 0.5) * scale)));
    if (path.points.length === 1) pen.lineTo((path.points[0][1] + 0.5) * scale + 0.1, (path.points[0][0] + 0.5) * scale);
    pen.stroke();
  }

  drawClick([y, x, label, kind], newest) {
    const { pen, scale } = this;
    pen.beginPath();
    pen.arc((x + 0.5) * scale, (y + 0.5) * scale, newest ? 6 : 4.5, 0, 7);
    pen.fillStyle = kind === "boundary" ? CLICK.boundary : label ? CLICK.object : CLICK.background;
    pen.globalAlpha = newest && this.waiting ? 0.55 : 1;
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#fff";
    pen.stroke();
    pen.globalAlpha = 1;
  }
}
