// Pointing at segments, and switching them on and off. `element` holds the result, which is replaced by the next one.
const all = (selector) => [...element.querySelectorAll(selector)];
const segment = (id) => element.querySelector(`path[data-id="${id}"]`);
const row = (id) => element.querySelector(`tr[data-row="${id}"]`);

function point(id) {
  for (const old of all('.hot')) old.classList.remove('hot');
  if (id === null) return;
  segment(id)?.classList.add('hot');
  row(id)?.classList.add('hot');
}

function tip(event, path) {
  const box = element.querySelector('.m2f-tip');
  box.hidden = !path;
  if (!path) return;
  box.textContent = path.dataset.tip;
  const stage = box.parentElement.getBoundingClientRect();
  const x = Math.min(event.clientX - stage.left + 14, stage.width - box.offsetWidth - 4);
  const below = event.clientY - stage.top + 16;
  box.style.left = `${Math.max(4, x)}px`;
  box.style.top = `${below + box.offsetHeight > stage.height ? below - box.offsetHeight - 28 : below}px`;
}

function update() {
  const boxes = all('tbody input');
  for (const box of boxes) {
    const line = box.closest('tr');
    line.classList.toggle('off', !box.checked);
    segment(line.dataset.row)?.classList.toggle('off', !box.checked);
  }
  for (const button of all('[data-class][aria-pressed]')) {
    const mine = boxes.filter((box) => box.closest('tr').dataset.class === button.dataset.class);
    button.setAttribute('aria-pressed', mine.some((box) => box.checked));
  }
  const head = element.querySelector('.m2f-all');
  const on = boxes.filter((box) => box.checked).length;
  head.checked = on === boxes.length;
  head.indeterminate = on > 0 && on < boxes.length;
}

for (const kind of ['pointermove', 'pointerdown']) {
  element.addEventListener(kind, (event) => {
    if (!event.target.closest('.m2f-stage')) return;
    const path = event.target.closest('path');
    point(path ? path.dataset.id : null);
    tip(event, path);
  });
}

element.addEventListener('pointerout', (event) => {
  const stage = event.target.closest('.m2f-stage');
  if (!stage || event.pointerType === 'touch' || stage.contains(event.relatedTarget)) return;
  point(null);
  tip(event, null);
});

element.addEventListener('pointerover', (event) => {
  const line = event.target.closest('tr[data-row]');
  if (line) point(line.dataset.row);
  else if (!event.target.closest('.m2f-stage')) point(null);
});

element.addEventListener('change', (event) => {
  if (event.target.matches('.m2f-all')) for (const box of all('tbody input')) box.checked = event.target.checked;
  update();
});

element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-class]');
  if (!button) return;
  const on = button.getAttribute('aria-pressed') !== 'true';
  for (const line of all('tr[data-row]')) {
    if (line.dataset.class === button.dataset.class) line.querySelector('input').checked = on;
  }
  update();
});

// On a phone the result lies below the screen.
watch('value', () => {
  if (element.querySelector('.m2f-stage') && element.getBoundingClientRect().top > 0.8 * innerHeight) {
    element.scrollIntoView({ behavior: 'smooth', block: 'start' });
  }
});
