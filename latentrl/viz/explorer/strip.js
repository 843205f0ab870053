// The episode: frame, reconstruction, difference, and values over time.

const LINES = 6;
const FRAMES_PER_SECOND = 10;

class Strip {
  // reconstruct(z, t) returns the pixels of the reconstruction of step t.
  constructor(content, sheet, nameOf, reconstruct, onTake) {
    Object.assign(this, { content, sheet, nameOf, reconstruct, timer: null, t: 0 });
    this.latents = content.strip.latents;
    this.steps = sheet.count;
    element('caption').textContent = content.strip.caption;
    element('time').max = this.steps - 1;
    element('time').addEventListener('input', () => this.go(Number(element('time').value)));
    element('play').addEventListener('click', () => this.toggle());
    element('take').addEventListener('click', () => onTake(row(this.latents, this.t), this.t));
    this.charts = [this.latentChart(), ...content.strip.series.map((one) => this.seriesChart(one))];
    this.showNames();
    this.go(0);
  }

  latentChart() {
    const lines = this.content.dimensions.slice(0, LINES).map(({ index }, k) => ({
      values: Array.from({ length: this.steps }, (_, t) => row(this.latents, t)[index]),
      colour: `c${k}`,
    }));
    return new LineChart(element('lines'), lines, (t) => this.go(t));
  }

  seriesChart({ name, unit, values }) {
    const canvas = create('canvas', { className: 'chart' });
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${name}${unit && `, ${unit}`} over the steps of the episode`);
    const output = create('output');
    output.setAttribute('aria-live', 'off');
    const title = create('span', {}, name, create('small', { textContent: unit }));
    element('series').append(create('h3', {}, title, output), canvas);
    const chart = new LineChart(canvas, [{ values, colour: 'c0' }], (t) => this.go(t));
    return Object.assign(chart, { output, values });
  }

  showNames() {
    const keys = this.content.dimensions.slice(0, LINES).map((dimension, k) => {
      const key = create('span', { textContent: this.nameOf(dimension) });
      key.style.setProperty('--key', `var(--c${k})`);
      return key;
    });
    element('keys').replaceChildren(...keys);
  }

  go(t) {
    this.t = t;
    const frame = this.sheet.pixels(t);
    const restored = this.reconstruct(row(this.latents, t), t);
    paint(element('frame'), frame);
    paint(element('restored'), restored);
    paint(element('difference'), differenceOf(frame, restored, this.content.inferno));
    element('time').value = t;
    element('time').setAttribute('aria-valuetext', `step ${t} of ${this.steps - 1}`);
    element('step').textContent = `${t} / ${this.steps - 1}`;
    this.draw();
  }

  draw() {
    for (const chart of this.charts) {
      chart.draw(this.t);
      if (chart.output) chart.output.textContent = short(chart.values[this.t]);
    }
  }

  toggle() {
    const plays = this.timer === null;
    if (plays) {
      const next = () => this.go((this.t + 1) % this.steps);
      this.timer = setInterval(next, 1000 / FRAMES_PER_SECOND);
    } else {
      clearInterval(this.timer);
      this.timer = null;
    }
    element('play').textContent = plays ? 'Pause' : 'Play';
    element('play').setAttribute('aria-pressed', String(plays));
  }
}
