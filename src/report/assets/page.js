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
    if (owner.tagName !== 'svg') owner.dataset.tip = title.textContent;
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
  ];
  const cellTip = (svg, event) => {
    const data = svg.dataset;
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const [left, top, width, height] = data.frame.split(' ').map(Number);
    const rows = data.rows.split('\n');
    const columns = data.columns.split('\n');
    const column = Math.floor(((event.clientX - box.left) * scale - left) / width);
    const row = Math.floor(((event.clientY - box.top) * scale - top) / height);
    if (column < 0 || row < 0 || column >= columns.length || row >= rows.length) return '';
    const [rowName, columnName] = data.names.split('\n');
    const place = `${rowName} ${rows[row]}, ${columnName} ${columns[column]}\n`;
    const value = decode(data.cells, row * columns.length + column, Number(data.largest));
    if (Number.isNaN(value)) return place + 'never used';
    let text = place + UNITS[Number(data.unit)](value);
    if (data.base) {
      const base = decode(data.base, column, Number(data.baseLargest));
      if (base > 0) text += `, lift ${(value / base).toFixed(2)}×`;
    }
    return text;
  };
  document.addEventListener('pointermove', (event) => {
    const svg = event.target.closest ? event.target.closest('svg.chart') : null;
    const text = !svg ? '' : svg.dataset.cells ? cellTip(svg, event) : event.target.dataset.tip || '';
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
    const below = event.clientY + 18 + tip.offsetHeight < innerHeight;
    tip.style.left = Math.max(6, x) + 'px';
    tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 10) + 'px';
  });
  document.addEventListener('scroll', () => { tip.hidden = true; }, true);
  for (const event of ['beforeprint', 'afterprint']) {
    addEventListener(event, () => { tip.hidden = true; });
  }
})();
