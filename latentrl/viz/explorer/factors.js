// Known factors of the data: what each dimension carries of one, and how well all of them do.

// Absolute correlation of each dimension with the values of a factor, null where one is unknown.
function correlations(latents, values) {
  const known = values.map((value, i) => [value, i]).filter(([value]) => value !== null);
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  const centred = (numbers) => { const centre = mean(numbers); return numbers.map((x) => x - centre); };
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const factor = centred(known.map(([value]) => value));
  return Array.from({ length: latents.shape[1] }, (_, k) => {
    const column = centred(known.map(([, i]) => row(latents, i)[k]));
    const scale = Math.sqrt(dot(column, column) * dot(factor, factor));
    return scale > 0 ? Math.abs(dot(column, factor)) / scale : 0;
  });
}

// A button for each factor with the R2 of its linear probe, and the scores of all of them;
// onChoose(name) is called by a click.
function listFactors({ factors, probe, scores }, onChoose) {
  const names = Object.keys(factors);
  element('known').hidden = !names.length;
  const all = Object.entries(scores).map(([name, score]) => `${name} ${short(score)}`);
  element('scores').textContent = all.length ? `Disentanglement: ${all.join(', ')}` : '';
  element('probes').replaceChildren(...names.map((name) => {
    const r2 = probe[name] ?? null;
    const amount = create('span', { className: 'information', textContent: short(r2) });
    amount.style.setProperty('--part', `${Math.round(100 * Math.max(0, r2 ?? 0))}%`);
    const button = create('button', { className: 'probe' }, create('span', { textContent: name }), amount);
    button.title = `Colour the map and sort the dimensions by ${name}`;
    button.setAttribute('aria-label', `${name}, R2 ${short(r2)}: colour the map and sort the dimensions by it`);
    button.addEventListener('click', () => onChoose(name));
    return button;
  }));
}
