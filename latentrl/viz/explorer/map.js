// The frames as points: on two latent dimensions, or on the plane of their principal components.

const MARGIN = 18;
const REACH = 14;

class DataMap {
  // nameOf(dimension) names one; onPick(i) is called when the user has chosen point i.
  constructor(content, thumbnails, nameOf, onPick) {
    const { latents, index, episode, axes, factors } = content.map;
    Object.assign(this, { latents, index, episode, axes, factors, count: index.length });
    Object.assign(this, { content, thumbnails, nameOf, onPick, marks: [], hovered: -1 });
    this.canvas = element('points');
    this.showNames();
    const colours = ['order in the data', ...Object.keys(this.factors)];
    element('colour').replaceChildren(...colours.map((text) => create('option', { text })));
    if (colours.length > 1) element('colour').selectedIndex = 1;
    for (const id of ['across', 'up', 'colour']) {
      element(id).addEventListener('change', () => this.place());
    }
    this.canvas.addEventListener('pointermove', (event) => this.hover(this.nearest(event)));
    this.canvas.addEventListener('pointerleave', () => this.hover(-1));
    this.canvas.addEventListener('blur', () => this.hover(-1));
    this.canvas.addEventListener('click', (event) => this.pick(this.nearest(event)));
    this.canvas.addEventListener('keydown', (event) => this.onKey(event));
    this.place();
  }

  showNames() {
    ['across', 'up'].forEach((id, axis) => {
      const chosen = element(id).value || `pca ${axis}`;
      const planes = [0, 1].map((i) => create('option', { value: `pca ${i}`, text: `PCA ${i + 1}` }));
      const own = this.content.dimensions.map((d) => create('option', { value: `z ${d.index}`, text: this.nameOf(d) }));
      element(id).replaceChildren(...planes, ...own);
      element(id).value = chosen;
    });
  }

  // The coordinate of a latent on the axis that the select with this id names.
  coordinate(id, z) {
    const [kind, number] = element(id).value.split(' ');
    if (kind === 'z') return z[number];
    return row(this.axes, number).reduce((sum, weight, i) => sum + weight * z[i], 0);
  }

  // Coordinates and colours of all points.
  place() {
    const each = (id) => Array.from({ length: this.count }, (_, i) => this.coordinate(id, row(this.latents, i)));
    [this.xs, this.ys] = [each('across'), each('up')];
    [this.rangeX, this.rangeY] = [robustExtent(this.xs), robustExtent(this.ys)];
    this.shade = this.factors[element('colour').value] || this.index;
    this.rangeShade = extent(this.shade);
    this.drawLegend();
    this.draw();
  }

  drawLegend() {
    const bar = create('i');
    bar.style.background = `linear-gradient(to right, ${[0, 0.33, 0.67, 1].map(rampColour).join(', ')})`;
    const [low, high] = this.rangeShade;
    element('legend').replaceChildren(short(low), bar, short(high));
  }

  // Points beyond the range lie on the border.
  toScreen(x, y) {
    const { width, height } = this.size;
    const part = (value, [low, high]) => Math.min(1.02, Math.max(-0.02, (value - low) / (high - low)));
    return [
      MARGIN + part(x, this.rangeX) * (width - 2 * MARGIN),
      height - MARGIN - part(y, this.rangeY) * (height - 2 * MARGIN),
    ];
  }

  draw() {
    const { context, ...size } = sharp(this.canvas);
    this.size = size;
    this.spots = this.xs.map((x, i) => this.toScreen(x, this.ys[i]));
    const [low, high] = this.rangeShade;
    context.globalAlpha = 0.85;
    const unknown = themeColour('track');
    this.spots.forEach(([x, y], i) => {
      const shade = this.shade[i];
      context.fillStyle = shade === null ? unknown : rampColour((shade - low) / (high - low));
      context.beginPath();
      context.arc(x, y, i === this.hovered ? 6 : 3, 0, 7);
      context.fill();
    });
    context.globalAlpha = 1;
    for (const mark of this.marks) this.drawMark(context, mark);
  }

  drawMark(context, { z, text }) {
    const [x, y] = this.toScreen(this.coordinate('across', z), this.coordinate('up', z));
    context.strokeStyle = themeColour('text');
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, 7, 0, 7);
    context.stroke();
    context.font = '600 12px system-ui, sans-serif';
    context.fillStyle = themeColour('text');
    context.fillText(text, x + 10, y - 6);
  }

  // Rings at latents, each with a text: where the sliders are, A and B.
  mark(marks) {
    this.marks = marks;
    this.draw();
  }

  nearest(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    let [best, least] = [-1, REACH];
    this.spots.forEach((spot, i) => {
      const distance = Math.hypot(spot[0] - x, spot[1] - y);
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  }

  hover(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    element('tip').hidden = i < 0;
    if (i >= 0) this.showTip(i);
    this.draw();
  }

  showTip(i) {
    this.thumbnails.draw(i, element('thumbnail'));
    const [x, y] = this.spots[i];
    const tip = element('tip');
    tip.style.left = `${Math.min(this.size.width - tip.offsetWidth, Math.max(0, x + 12))}px`;
    tip.style.top = `${y > tip.offsetHeight + 14 ? y - tip.offsetHeight - 12 : y + 14}px`;
    element('point').textContent = this.describe(i);
  }

  describe(i) {
    const factors = Object.entries(this.factors).map(([name, values]) => `${name} ${short(values[i])}`);
    const episode = this.episode ? [`episode ${this.episode[i]}`] : [];
    return [`Frame ${this.index[i]}`, ...episode, ...factors].join(', ');
  }

  pick(i) {
    if (i < 0) return;
    this.hover(i);
    this.onPick(i);
  }

  onKey(event) {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) this.hover(this.neighbour(way));
    if (event.key === 'Enter' || event.key === ' ') this.pick(this.hovered);
    if (way || event.key === ' ') event.preventDefault();
  }

  // The nearest point in a direction from the hovered one, within 60 degrees of it.
  neighbour([dx, dy]) {
    if (this.hovered < 0) return 0;
    const [x, y] = this.spots[this.hovered];
    let [best, least] = [this.hovered, Infinity];
    this.spots.forEach((spot, i) => {
      const distance = Math.hypot(spot[0] - x, spot[1] - y);
      const along = (spot[0] - x) * dx + (spot[1] - y) * dy;
      if (distance > 0 && along >= distance / 2 && distance < least) [best, least] = [i, distance];
    });
    return best;
  }
}
