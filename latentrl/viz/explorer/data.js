// The document of the page, its images, and the colours that pixels and points are drawn in.

const element = (id) => document.getElementById(id);
const readJson = (id) => JSON.parse(element(id).textContent);
const row = (tensor, i) => tensor.data.subarray(i * tensor.shape[1], (i + 1) * tensor.shape[1]);

// Creates an element with properties and children.
function create(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function newCanvas(width, height) {
  return create('canvas', { width, height });
}

// A scaled image (C, h, w) as pixels, rounded as the model's observations are.
function toPixels(tensor, { height, width, picks, levels }) {
  const size = height * width;
  const pixels = new ImageData(width, height);
  for (let k = 0; k < 3; k++) {
    const from = picks[k] * size;
    const steps = levels[k];
    for (let i = 0; i < size; i++) {
      const value = Math.min(1, Math.max(0, tensor.data[from + i]));
      pixels.data[4 * i + k] = Math.round(255 * (steps ? Math.round(value * steps) / steps : value));
    }
  }
  for (let i = 3; i < 4 * size; i += 4) pixels.data[i] = 255;
  return pixels;
}

// Decoded tiles of one image, each drawn or read by its number.
class Sheet {
  constructor({ uri, columns, height, width, count }) {
    Object.assign(this, { uri, columns, height, width, count, canvas: newCanvas(1, 1) });
  }

  async load() {
    const image = new Image();
    image.src = this.uri;
    await image.decode();
    this.canvas = newCanvas(image.width, image.height);
    this.canvas.getContext('2d', { willReadFrequently: true }).drawImage(image, 0, 0);
    return this;
  }

  corner(i) {
    return [(i % this.columns) * this.width, Math.floor(i / this.columns) * this.height];
  }

  pixels(i) {
    return this.canvas.getContext('2d').getImageData(...this.corner(i), this.width, this.height);
  }

  // Draws tile i over the whole of a canvas, which takes the tile's size unless it has one.
  draw(i, canvas, keepSize = false) {
    if (!keepSize) Object.assign(canvas, { width: this.width, height: this.height });
    const to = [0, 0, canvas.width, canvas.height];
    canvas.getContext('2d').drawImage(this.canvas, ...this.corner(i), this.width, this.height, ...to);
  }
}

function paint(canvas, pixels) {
  if (canvas.width !== pixels.width) canvas.width = pixels.width;
  if (canvas.height !== pixels.height) canvas.height = pixels.height;
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

// The largest difference of the channels in the colours of inferno; half of the range is brightest.
function differenceOf(a, b, inferno) {
  const pixels = new ImageData(a.width, a.height);
  for (let i = 0; i < a.data.length; i += 4) {
    let largest = 0;
    for (let k = i; k < i + 3; k++) largest = Math.max(largest, Math.abs(a.data[k] - b.data[k]));
    const colour = Math.min(255, 2 * largest) * 3;
    for (let k = 0; k < 3; k++) pixels.data[i + k] = inferno.data[colour + k];
    pixels.data[i + 3] = 255;
  }
  return pixels;
}

// From blue to orange, which are legible on light and on dark ground.
const RAMP = [[58, 110, 210], [150, 110, 190], [205, 90, 120], [236, 140, 50]];

function rampColour(t) {
  const position = Math.min(1, Math.max(0, t)) * (RAMP.length - 1);
  const i = Math.min(RAMP.length - 2, Math.floor(position));
  const mixed = RAMP[i].map((c, k) => Math.round(c + (position - i) * (RAMP[i + 1][k] - c)));
  return `rgb(${mixed.join(' ')})`;
}

const themeColour = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();

// Short text of a number: three digits that matter.
function short(value) {
  if (value === null || value === undefined) return '–';
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
