// Line charts and a canvas at the resolution of the screen.

// Sizes a canvas for sharp lines; returns its context and its size in CSS pixels.
function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

// The range of all but the outermost values: a single outlier would squeeze the others together.
function robustExtent(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const cut = Math.floor(sorted.length / 200);
  const [low, high] = extent(sorted.slice(cut, sorted.length - cut));
  const rim = (high - low) / 20;
  return extent([Math.max(sorted[0], low - rim), Math.min(sorted[sorted.length - 1], high + rim)]);
}

const AXIS = 44;

// Lines over time on one axis, with a cursor at one step.
class LineChart {
  constructor(canvas, lines, onScrub) {
    Object.assign(this, { canvas, lines, cursor: 0 });
    this.steps = lines[0].values.length;
    this.range = extent(lines.flatMap((line) => [...line.values]));
    const scrub = (event) => event.buttons && onScrub(this.stepAt(event));
    canvas.addEventListener('pointerdown', scrub);
    canvas.addEventListener('pointermove', scrub);
  }

  stepAt(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    const t = (event.clientX - left - AXIS) / (width - AXIS - 6);
    return Math.min(this.steps - 1, Math.max(0, Math.round(t * (this.steps - 1))));
  }

  draw(cursor = this.cursor) {
    this.cursor = cursor;
    const { context, width, height } = sharp(this.canvas);
    const [low, high] = this.range;
    const x = (t) => AXIS + (t / Math.max(1, this.steps - 1)) * (width - AXIS - 6);
    const y = (value) => height - 8 - ((value - low) / (high - low)) * (height - 16);
    this.drawAxis(context, width, y);
    for (const line of this.lines) this.drawLine(context, line, x, y);
    context.fillStyle = themeColour('text');
    context.fillRect(x(cursor) - 0.5, 2, 1, height - 4);
  }

  drawAxis(context, width, y) {
    context.font = '11px system-ui, sans-serif';
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const value of this.range) {
      context.fillStyle = themeColour('muted');
      context.fillText(short(value), AXIS - 8, y(value));
      context.fillStyle = themeColour('line');
      context.fillRect(AXIS, y(value), width - AXIS - 6, 1);
    }
  }

  drawLine(context, { values, colour }, x, y) {
    context.strokeStyle = themeColour(colour);
    context.lineWidth = 1.5;
    context.lineJoin = 'round';
    context.beginPath();
    let pen = false;
    values.forEach((value, t) => {
      if (value !== null) context[pen ? 'lineTo' : 'moveTo'](x(t), y(value));
      pen = value !== null;
    });
    context.stroke();
  }
}
