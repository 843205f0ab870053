// The page: one latent, which sliders, map, strip and images set, and its decoded frame.

class Explorer {
  constructor(content, sheets, names) {
    Object.assign(this, { content, sheets, names, ends: {}, waits: false });
    element('facts').textContent = content.facts;
    element('notes').append(...content.notes.map((text) => create('p', { textContent: text })));
    document.documentElement.style.setProperty('--ratio', content.image.ratio);
    element('measure').textContent = `by ${content.measure}`;
    this.sliders = new Sliders(content, names, (d) => this.onMove(d), () => this.onName());
    const nameOf = (dimension) => this.sliders.name(dimension);
    this.map = new DataMap(content, sheets.thumbnails, nameOf, (i) => this.onPoint(i));
    listFactors(content.map, (name) => this.chooseFactor(name));
    this.strip = new Strip(content, sheets.frames, nameOf, (z, t) => this.reconstruct(z, t),
      (z, t) => this.set(z, `Step ${t} of the episode`));
    this.connect();
    if (content.decoder) this.set(content.start.data, 'A typical frame');
    else this.showWithoutDecoder();
  }

  showWithoutDecoder() {
    element('point').textContent = 'Hover or click to look at a frame.';
    this.showTile(this.content.dimensions[0]);
  }

  connect() {
    element('save').addEventListener('click', () => this.save());
    for (const id of ['mean', 'typical', 'random', 'take', 'interpolation']) {
      element(id).hidden = !this.content.decoder;
    }
    element('mean').addEventListener('click', () => this.set(this.mean(), 'The data mean'));
    element('typical').addEventListener('click', () => this.set(this.content.start.data, 'A typical frame'));
    element('random').addEventListener('click', () => this.onPoint(Math.floor(Math.random() * this.map.count)));
    for (const end of ['a', 'b']) element(`keep-${end}`).addEventListener('click', () => this.keep(end));
    element('between').addEventListener('input', () => this.interpolate());
    if (this.content.grid) this.connectCells(element('decoded'));
    if (this.content.encoder) {
      element('own').hidden = false;
      acceptImages((image) => this.onImage(image), () => this.say('This file is not an image that the browser reads.'));
    }
    const redraw = () => { this.map.draw(); this.strip.draw(); };
    window.addEventListener('resize', redraw);
    const inView = ([{ isIntersecting }]) => { element('small').hidden = isIntersecting; };
    new IntersectionObserver(inView).observe(element('screen'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  }

  // Colours the map and sorts the dimensions by a factor.
  chooseFactor(name) {
    for (const id of ['colour', 'sort']) {
      element(id).value = name;
      element(id).dispatchEvent(new Event('change'));
    }
    this.say(`Coloured and sorted by ${name}`);
  }

  say(text) {
    element('status').textContent = text;
  }

  decode(z) {
    return toPixels(runLayers(this.content.decoder, { data: z, shape: [z.length] }), this.content.image);
  }

  // Decodes the latent before the next frame of the screen, once however often it has changed.
  update() {
    this.map.mark([{ z: this.sliders.z, text: '' }, ...Object.values(this.ends)]);
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.paint(this.decode(this.sliders.z));
    });
  }

  // Draws the frame, and a small copy that stays in view where the page has scrolled on.
  paint(pixels) {
    paint(element('decoded'), pixels);
    paint(element('small'), pixels);
  }

  set(z, text) {
    this.sliders.set(z);
    this.say(text);
    this.update();
  }

  mean() {
    const z = new Float32Array(this.sliders.z.length);
    for (const { index, mean } of this.content.dimensions) z[index] = mean;
    return z;
  }

  onMove(dimension) {
    if (!this.content.decoder) return this.showTile(dimension);
    this.say('Moved by the sliders');
    return this.update();
  }

  // Without a decoder: the image of one slider's position; the other sliders return to the start.
  showTile(dimension) {
    const { positions } = this.content.traversals;
    const { low, high, index } = dimension;
    const value = this.sliders.z[index];
    const part = Math.min(1, Math.max(0, (value - low) / (high - low)));
    const tile = this.content.dimensions.indexOf(dimension) * positions + Math.round(part * (positions - 1));
    this.paint(this.sheets.traversals.pixels(tile));
    this.sliders.set(this.content.start.data);
    this.sliders.z[index] = value;
    this.say(`${this.sliders.name(dimension)} at ${value.toFixed(2)}`);
  }

  onName() {
    this.map.showNames();
    this.strip.showNames();
  }

  onPoint(i) {
    if (this.content.decoder) {
      this.set(row(this.map.latents, i), this.map.describe(i));
    } else {
      this.paint(this.sheets.thumbnails.pixels(i));
      this.say(this.map.describe(i));
    }
  }

  reconstruct(z, t) {
    if (this.content.decoder) return this.decode(z);
    const { width, height } = this.sheets.frames;
    const canvas = newCanvas(width, height);
    this.sheets.reconstructions.draw(t, canvas, true);
    return canvas.getContext('2d').getImageData(0, 0, width, height);
  }

  keep(end) {
    this.ends[end] = { z: Float32Array.from(this.sliders.z), text: end.toUpperCase() };
    const both = Boolean(this.ends.a && this.ends.b);
    element('between').disabled = !both;
    if (both) element('between').value = end === 'a' ? 0 : 1;
    this.say(both ? 'Move the slider from A to B.' : `Kept as ${end.toUpperCase()}; now choose the other end.`);
    this.update();
  }

  interpolate() {
    const t = Number(element('between').value);
    const [a, b] = [this.ends.a.z, this.ends.b.z];
    element('between').setAttribute('aria-valuetext', `${Math.round(100 * t)} % of the way from A to B`);
    this.set(a.map((value, i) => (1 - t) * value + t * b[i]), `${Math.round(100 * t)} % of the way from A to B`);
  }

  connectCells(canvas) {
    const [rows, columns] = this.content.grid;
    canvas.tabIndex = 0;
    canvas.setAttribute('aria-label', `${canvas.getAttribute('aria-label')}; arrow keys choose a cell of the latent, Escape none`);
    canvas.addEventListener('click', ({ offsetX, offsetY }) => this.choose([
      Math.min(rows - 1, Math.floor((offsetY / canvas.clientHeight) * rows)),
      Math.min(columns - 1, Math.floor((offsetX / canvas.clientWidth) * columns)),
    ]));
    canvas.addEventListener('keydown', (event) => {
      const way = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (event.key === 'Escape') this.choose(null);
      if (!way) return;
      event.preventDefault();
      const [r, c] = this.sliders.cell || [0, 0];
      this.choose([(r + way[0] + rows) % rows, (c + way[1] + columns) % columns]);
    });
    this.say('Click on the frame to choose a cell of the latent.');
  }

  // Moves the channels of a cell to the head of the list.
  choose(cell) {
    this.sliders.choose(cell);
    const box = element('cell');
    box.hidden = element('chosen').hidden = !cell;
    if (!cell) return;
    const [rows, columns] = this.content.grid;
    Object.assign(box.style, {
      top: `${(100 * cell[0]) / rows}%`, left: `${(100 * cell[1]) / columns}%`,
      height: `${100 / rows}%`, width: `${100 / columns}%`,
    });
    const clear = create('button', { textContent: 'Clear' });
    clear.addEventListener('click', () => this.choose(null));
    element('chosen').replaceChildren(`First: cell in row ${cell[0]}, column ${cell[1]}`, clear);
    this.say(`Cell in row ${cell[0]}, column ${cell[1]}`);
  }

  onImage(bitmap) {
    const pixels = drawCropped(bitmap, element('given'), this.content.input, this.content.image);
    const z = runLayers(this.content.encoder, scaledInput(pixels, this.content.input)).data;
    this.set(z, 'Your image, encoded and decoded');
  }

  // Downloads the page as it was opened, with the names of today.
  save() {
    const text = JSON.stringify(this.names).replace(/</g, '\\u003c');
    const page = PRISTINE.replace(/(<script type="application\/json" id="names">)[^<]*/, (_, head) => head + text);
    const link = create('a', { href: URL.createObjectURL(new Blob([page], { type: 'text/html' })) });
    link.download = decodeURIComponent(location.pathname.split('/').pop()) || 'latent.html';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.say('Saved with your names.');
  }
}

// Before anything on the page changes.
const PRISTINE = `<!doctype html>\n${document.documentElement.outerHTML}`;

async function open() {
  const content = withTensors(readJson('document'));
  for (const name of ['decoder', 'encoder']) content[name] = withTensors(readJson(name));
  const sheets = {
    thumbnails: content.map.thumbnails,
    frames: content.strip.frames,
    traversals: content.traversals?.sheet,
    reconstructions: content.reconstructions,
  };
  for (const [name, sheet] of Object.entries(sheets)) {
    if (sheet) sheets[name] = await new Sheet(sheet).load();
  }
  window.explorer = new Explorer(content, sheets, readJson('names'));
}

open();
