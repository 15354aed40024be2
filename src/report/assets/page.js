'use strict';
(() => {
  const root = document.documentElement;
  const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const tip = document.getElementById('tip');

  // Theme: the system's until the reader chooses; remembered where storage is allowed.
  const button = document.getElementById('theme');
  const dark = () => root.dataset.theme
    ? root.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  const remember = (value) => {
    try {
      if (value) localStorage.setItem('foregate-theme', value);
      return localStorage.getItem('foregate-theme');
    } catch (error) {
      return null;
    }
  };
  const nameButton = () => { button.textContent = dark() ? 'Light' : 'Dark'; };
  const kept = remember();
  if (!root.dataset.theme && (kept === 'dark' || kept === 'light')) root.dataset.theme = kept;
  button.hidden = false;
  button.addEventListener('click', () => {
    root.dataset.theme = remember(dark() ? 'light' : 'dark') || (dark() ? 'light' : 'dark');
    nameButton();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', nameButton);
  nameButton();

  // Figures of several panels show one, chosen from a list or with the buttons beside it.
  for (const figure of document.querySelectorAll('figure[data-choice]')) {
    const panels = [...figure.querySelectorAll('.panel')];
    const picker = document.createElement('div');
    picker.className = 'picker';
    const label = document.createElement('label');
    const select = document.createElement('select');
    panels.forEach((panel, index) => select.add(new Option(panel.dataset.name, index)));
    label.append(figure.dataset.choice + ' ', select);
    const step = (text, by, name) => {
      const element = document.createElement('button');
      element.type = 'button';
      element.textContent = text;
      element.setAttribute('aria-label', name);
      element.addEventListener('click', () => {
        select.value = Math.min(panels.length - 1, Math.max(0, Number(select.value) + by));
        show();
      });
      return element;
    };
    const show = () => panels.forEach((panel, index) => {
      panel.hidden = index !== Number(select.value);
    });
    select.addEventListener('change', show);
    picker.append(label, step('‹', -1, 'Previous'), step('›', 1, 'Next'));
    panels[0].before(picker);
    for (const name of figure.querySelectorAll('.panel-name')) name.hidden = true;
    show();
  }

  // Values on hover: the script's box takes over from the slower <title> tooltips.
  for (const title of document.querySelectorAll('svg.chart title')) {
    const owner = title.parentNode;
    const series = owner.parentNode.dataset.series;
    if (owner.tagName !== 'svg') owner.dataset.tip = (series ? series + '\n' : '') + title.textContent;
    title.remove();
  }
  const decode = (text, index, largest) => {
    const code = text.slice(2 * index, 2 * index + 2);
    if (code === '..') return NaN;
    return (64 * DIGITS.indexOf(code[0]) + DIGITS.indexOf(code[1])) / 4095 * largest;
  };
  const UNITS = [
    (value) => (100 * value).toFixed(value < 0.00995 ? 2 : 1) + '%',
    (value) => value.toFixed(2) + '×',
    (value) => value.toFixed(3),
    (value) => value.toFixed(4) + ' bits',
    (value) => value.toFixed(Number.isInteger(value) ? 0 : 1),
  ];
  // A map's cells are drawn in runs, so that what is under the pointer follows from its place.
  const sizeOf = (svg) => [svg.dataset.rows.split('\n'), svg.dataset.columns.split('\n')];
  const expertsAt = (svg, cell) => {
    const k = Number(svg.dataset.k);
    const experts = [];
    for (let rank = 0; rank < k; ++rank) {
      const code = svg.dataset.experts.slice(2 * (cell * k + rank), 2 * (cell * k + rank) + 2);
      experts.push(64 * DIGITS.indexOf(code[0]) + DIGITS.indexOf(code[1]));
    }
    const named = (k > 1 ? 'experts ' : 'expert ') + experts.join(', ');
    const found = (svg.dataset.found || '').slice(cell * k, cell * k + k);
    if (!found || found[0] === '-') return named;
    const missed = experts.filter((expert, rank) => found[rank] === '0');
    return named + (missed.length ? '\nmissed ' + missed.join(', ') : '\nall foreseen');
  };
  const valueAt = (svg, cell, column) => {
    const data = svg.dataset;
    const value = decode(data.cells, cell, Number(data.largest));
    if (Number.isNaN(value)) return data.hole;
    let text = UNITS[Number(data.unit)](value);
    if (data.base) {
      const base = decode(data.base, column, Number(data.baseLargest));
      if (base > 0) text += `, lift ${(value / base).toFixed(2)}×`;
    }
    return text;
  };
  const cellTip = (svg, row, column) => {
    const [rows, columns] = sizeOf(svg);
    if (column < 0 || row < 0 || column >= columns.length || row >= rows.length) return '';
    const [rowName, columnName] = svg.dataset.names.split('\n');
    const cell = row * columns.length + column;
    const what = svg.dataset.experts ? expertsAt(svg, cell) : valueAt(svg, cell, column);
    return `${rowName} ${rows[row]}, ${columnName} ${columns[column]}\n${what}`;
  };
  const frameOf = (svg) => {
    const box = svg.getBoundingClientRect();
    return [box, svg.viewBox.baseVal.width / box.width, ...svg.dataset.frame.split(' ').map(Number)];
  };
  const pointedTip = (svg, event) => {
    const [box, scale, left, top, width, height] = frameOf(svg);
    const column = Math.floor(((event.clientX - box.left) * scale - left) / width);
    const row = Math.floor(((event.clientY - box.top) * scale - top) / height);
    return cellTip(svg, row, column);
  };
  const showTip = (text, clientX, clientY) => {
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const x = Math.min(clientX + 14, innerWidth - tip.offsetWidth - 6);
    const below = clientY + 18 + tip.offsetHeight < innerHeight;
    tip.style.left = Math.max(6, x) + 'px';
    tip.style.top = (below ? clientY + 18 : clientY - tip.offsetHeight - 10) + 'px';
  };
  document.addEventListener('pointermove', (event) => {
    const svg = event.target.closest ? event.target.closest('svg.chart') : null;
    const text = !svg ? '' : svg.dataset.frame ? pointedTip(svg, event) : event.target.dataset.tip;
    showTip(text || '', event.clientX, event.clientY);
  });

  // The same values from the keyboard: a chart takes the focus, arrows go from value to value.
  const STEPS = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]};
  const clamp = (value, count) => Math.min(count - 1, Math.max(0, value));
  const visit = (svg, down, across) => {
    const place = svg.place || (svg.place = {row: 0, column: 0});
    if (svg.dataset.frame) {
      const [rows, columns] = sizeOf(svg);
      place.row = clamp(place.row + down, rows.length);
      place.column = clamp(place.column + across, columns.length);
      const [box, scale, left, top, width, height] = frameOf(svg);
      showTip(cellTip(svg, place.row, place.column),
        box.left + (left + (place.column + 0.5) * width) / scale,
        box.top + (top + (place.row + 0.5) * height) / scale);
      return;
    }
    const values = [...svg.querySelectorAll('[data-tip]')];
    if (!values.length) return;
    place.row = clamp(place.row + down + across, values.length);
    const box = values[place.row].getBoundingClientRect();
    showTip(values[place.row].dataset.tip, box.left + box.width / 2, box.top + box.height / 2);
  };
  for (const svg of document.querySelectorAll('svg.chart')) {
    svg.setAttribute('tabindex', '0');
    svg.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') showTip('');
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      visit(svg, ...step);
    });
    svg.addEventListener('focus', () => { if (svg.matches(':focus-visible')) visit(svg, 0, 0); });
    svg.addEventListener('blur', () => showTip(''));
  }

  // A figure's numbers as a file: its tables one below the other, each row led by its panel's name.
  const field = (text) => /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  const csvOf = (figure) => {
    const lines = [];
    for (const panel of figure.querySelectorAll('.panel')) {
      for (const row of panel.querySelectorAll('tr')) {
        const head = row.parentNode.tagName === 'THEAD';
        if (head && lines.length) continue;
        const cells = [...row.cells].map((cell) => field(cell.textContent));
        if (panel.dataset.name) cells.unshift(head ? 'panel' : field(panel.dataset.name));
        lines.push(cells.join(','));
      }
    }
    return lines.join('\n') + '\n';
  };
  for (const save of document.querySelectorAll('button.data')) {
    const figure = save.closest('figure');
    if (!figure.querySelector('table')) continue;
    save.hidden = false;
    save.addEventListener('click', () => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([csvOf(figure)], {type: 'text/csv'}));
      link.download = save.dataset.file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }
  document.addEventListener('scroll', () => showTip(''), true);
  for (const event of ['beforeprint', 'afterprint']) {
    addEventListener(event, () => showTip(''));
  }
})();
