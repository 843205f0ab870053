// One slider for each latent dimension, by the measure of the page or by what they carry of a factor.

const FIRST = 10;

class Sliders {
  // content: the document. onMove(dimension) is called when the user has moved a slider, and
  // onName() when a name has changed.
  constructor(content, names, onMove, onName) {
    const { dimensions, decoder, traversals } = content;
    const count = decoder ? dimensions.length : traversals.sheet.count / traversals.positions;
    Object.assign(this, { names, onMove, onName, measure: content.measure });
    this.dimensions = dimensions.slice(0, count);
    this.most = Math.max(1e-9, dimensions[0].amount);
    this.map = content.map;
    this.factor = null;
    this.z = Float32Array.from(content.start.data);
    this.rows = new Map();
    this.showsAll = false;
    this.cell = null;
    element('all').addEventListener('click', () => {
      this.showsAll = !this.showsAll;
      this.fill();
    });
    const factors = Object.keys(content.map.factors);
    const kinds = [content.measure, ...factors].map((text) => create('option', { text }));
    element('sort').replaceChildren(...kinds);
    element('sort').addEventListener('change', () => this.sortBy(element('sort').value));
    element('sorting').hidden = !factors.length;
    element('measure').hidden = Boolean(factors.length);
    this.fill();
  }

  // Sorts by the absolute correlation with a factor, or by the measure for another word.
  sortBy(name) {
    const values = this.map.factors[name];
    this.factor = values ? correlations(this.map.latents, values) : null;
    this.fill();
  }

  name({ index }) {
    return this.names[index] || `z${index}`;
  }

  // Dimensions in the order of the page: those of the chosen cell first.
  ordered() {
    const sorted = [...this.dimensions];
    if (this.factor) sorted.sort((a, b) => this.factor[b.index] - this.factor[a.index]);
    const inCell = ({ place }) => this.cell && place[0] === this.cell[0] && place[1] === this.cell[1];
    return [...sorted.filter(inCell), ...sorted.filter((dimension) => !inCell(dimension))];
  }

  fill() {
    const shown = this.showsAll ? this.ordered() : this.ordered().slice(0, FIRST);
    element('sliders').replaceChildren(...shown.map((dimension) => this.row(dimension).node));
    for (const dimension of shown) this.measureRow(this.row(dimension));
    const all = element('all');
    all.hidden = this.dimensions.length <= FIRST;
    all.textContent = this.showsAll ? `Show ${FIRST}` : `Show all ${this.dimensions.length}`;
    all.setAttribute('aria-expanded', String(this.showsAll));
    this.show();
  }

  // The row of a dimension, made when it is needed for the first time.
  row(dimension) {
    if (!this.rows.has(dimension.index)) this.rows.set(dimension.index, this.newRow(dimension));
    return this.rows.get(dimension.index);
  }

  newRow(dimension) {
    const { index, low, high, step, place } = dimension;
    const name = create('input', { className: 'name', value: this.names[index] || '' });
    Object.assign(name, { placeholder: `z${index}`, maxLength: 40, spellcheck: false });
    name.setAttribute('aria-label', `Name of dimension ${index}`);
    const where = place ? `row ${place[0]}, column ${place[1]}, channel ${place[2]}` : '';
    const label = create('span', { className: 'label' }, name);
    if (where) label.append(create('span', { className: 'place', textContent: where }));
    const range = create('input', { type: 'range', min: low, max: high, step: step || 'any' });
    const value = create('output');
    value.setAttribute('aria-live', 'off');
    const reset = create('button', { className: 'reset', textContent: 'Reset' });
    const amount = create('span', { className: 'information' });
    const node = create('div', { className: 'dimension' }, label, amount, range, value, reset);
    node.dataset.index = index;
    const made = { node, range, value, dimension, where, reset, amount };
    this.label(made);
    name.addEventListener('input', () => this.rename(made, name.value));
    range.addEventListener('input', () => this.move(dimension, Number(range.value)));
    range.addEventListener('keydown', (event) => this.onKey(event, made));
    range.addEventListener('dblclick', () => this.move(dimension, dimension.mean));
    reset.addEventListener('click', () => this.move(dimension, dimension.mean));
    return made;
  }

  // The number by which the list is sorted, and its bar.
  measureRow({ amount, dimension: { index, amount: size } }) {
    const part = this.factor ? this.factor[index] : size / this.most;
    const text = this.measure === 'KL' ? `${short(size)} nats` : `${this.measure} ${short(size)}`;
    amount.textContent = this.factor ? `|r| ${part.toFixed(2)}` : text;
    amount.style.setProperty('--part', `${Math.round(100 * part)}%`);
  }

  label({ range, reset, dimension, where }) {
    range.setAttribute('aria-label', [this.name(dimension), where].filter(Boolean).join(', '));
    reset.setAttribute('aria-label', `Reset ${this.name(dimension)} to the data mean`);
  }

  rename(made, text) {
    const { index } = made.dimension;
    if (text.trim()) this.names[index] = text.trim();
    else delete this.names[index];
    this.label(made);
    this.onName();
  }

  // An arrow key moves by a fiftieth of the range, with Shift by a tenth.
  onKey(event, { dimension, range }) {
    const sign = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!sign) return;
    event.preventDefault();
    const { low, high, step } = dimension;
    const by = step || (high - low) / (event.shiftKey ? 10 : 50);
    this.move(dimension, Math.min(high, Math.max(low, Number(range.value) + sign * by)));
  }

  move(dimension, value) {
    this.z[dimension.index] = value;
    this.onMove(dimension);
    this.show();
  }

  set(z) {
    this.z = Float32Array.from(z);
    this.show();
  }

  choose(cell) {
    this.cell = cell;
    this.fill();
  }

  // Positions and values of the rows on the page.
  show() {
    for (const { node, range, value, dimension } of this.rows.values()) {
      if (!node.isConnected) continue;
      const number = this.z[dimension.index];
      range.value = number;
      range.setAttribute('aria-valuetext', number.toFixed(2));
      value.textContent = number.toFixed(2);
    }
  }
}
