// The page: an image is chosen, the worker segments it, the segments are drawn over it and listed.
const LONGEST = 1600; // pixels of the longer side; larger images are reduced
const find = (selector) => document.querySelector(selector);
const [canvas, map] = [find('#picture'), document.createElement('canvas')];
let worker;
let shown = null; // {name, image, ids, segments} of the image on the page
let busy = true;

function say(text, fault = false) {
  find('#status').textContent = text;
  find('#status').classList.toggle('fault', fault);
}

function bytes(text) {
  return fetch(`data:application/octet-stream;base64,${text}`).then((answer) => answer.arrayBuffer());
}

/** Give the worker something, and wait for what it makes of it. */
function ask(content, transfer) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = (event) => reject(new Error(event.message || 'the worker does not start'));
    worker.postMessage(content, transfer);
  });
}

async function start() {
  worker = new Worker(URL.createObjectURL(new Blob([find('#worker').textContent], { type: 'text/javascript' })));
  const [model, wasm] = await Promise.all([MODEL.bytes, RUNTIME.wasm].map(bytes));
  await ask({ meta: MODEL.meta, model, wasm, module: RUNTIME.module }, [model, wasm]);
  busy = false;
  find('#file').disabled = false;
  say('Choose an image, drop one here, or paste one. It stays on this computer.');
}

function colorOf(segment) {
  const color = MODEL.meta.palette[segment.label];
  return color ?? [0, 1, 2].map((channel) => (segment.label * [67, 131, 197][channel] + 90) % 200);
}

/** The image with its segments: coloured by class, with an outline where two of them meet. */
function draw() {
  const { image, ids, segments } = shown;
  const opacity = Number(find('#opacity').value);
  const colors = [null, ...segments.map(colorOf)];
  const picture = new ImageData(new Uint8ClampedArray(image.data), image.width, image.height);
  for (let at = 0; at < ids.length; at++) {
    const beside = (at + 1) % image.width ? ids[at + 1] : ids[at];
    const edge = beside !== ids[at] || (ids[at + image.width] ?? ids[at]) !== ids[at];
    const color = edge ? [255, 255, 255] : colors[ids[at]];
    if (!color) continue;
    for (let channel = 0; channel < 3; channel++) {
      const value = picture.data[4 * at + channel];
      picture.data[4 * at + channel] = value + (color[channel] - value) * (edge ? Math.min(1, 2 * opacity) : opacity);
    }
  }
  canvas.getContext('2d').putImageData(picture, 0, 0);
}

function list() {
  const share = (segment) => `${((100 * segment.area) / shown.ids.length).toFixed(1)} %`;
  const rows = shown.segments.map((segment) => {
    const row = document.createElement('tr');
    const cells = ['', segment.name, `${Math.round(100 * segment.score)} %`, share(segment)];
    for (const text of cells) row.insertCell().textContent = text;
    row.cells[0].style.background = `rgb(${colorOf(segment)})`;
    row.dataset.id = segment.id;
    return row;
  });
  find('tbody').replaceChildren(...rows);
  find('#result').hidden = false;
  find('table').hidden = !rows.length;
}

/** The pixels of an image file, upright, with the values that the file has. */
async function read(file) {
  const options = { colorSpaceConversion: 'none' };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error('this is no image that the browser can read');
  });
  const factor = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * factor)));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white'; // what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

async function segmentFile(file) {
  if (!file || busy) return;
  busy = true;
  find('#result').hidden = true;
  say('The model looks at the image …');
  try {
    const image = await read(file);
    const found = await ask({ pixels: image.data, height: image.height, width: image.width });
    shown = { name: file.name.replace(/\.[^.]*$/, ''), image, ...found };
    draw();
    list();
    const count = `${found.segments.length || 'No'} segment${found.segments.length === 1 ? '' : 's'}`;
    say(`${count} in ${image.width} × ${image.height} pixels, in ${found.seconds.toFixed(2)} s.`);
  } catch (error) {
    say(`The image was not segmented: ${error.message}.`, true);
  }
  busy = false;
  find('#file').value = ''; // so that the same file can be chosen again
}

function save(source, ending) {
  source.toBlob((blob) => {
    const link = Object.assign(document.createElement('a'), { download: `${shown.name}_${ending}.png` });
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

/** COCO's map: the id of a pixel is R + 256 G + 65536 B. */
function saveIds() {
  const { image, ids } = shown;
  [map.width, map.height] = [image.width, image.height];
  const pixels = new ImageData(image.width, image.height);
  ids.forEach((id, at) => pixels.data.set([id & 255, (id >> 8) & 255, id >> 16, 255], 4 * at));
  map.getContext('2d').putImageData(pixels, 0, 0);
  save(map, 'ids');
}

/** Name the segment that is pointed at, and mark its row. */
function point(event) {
  if (!shown) return;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
  const id = shown.ids[y * canvas.width + x];
  canvas.title = shown.segments[id - 1]?.name ?? '';
  for (const row of find('tbody').rows) row.classList.toggle('hot', Number(row.dataset.id) === id);
}

find('#file').addEventListener('change', (event) => segmentFile(event.target.files[0]));
find('#opacity').addEventListener('input', draw);
find('#save-picture').addEventListener('click', () => save(canvas, 'panoptic'));
find('#save-ids').addEventListener('click', saveIds);
canvas.addEventListener('pointermove', point);
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  segmentFile(event.dataTransfer.files[0]);
});
document.addEventListener('paste', (event) => segmentFile(event.clipboardData.files[0]));
start().catch((error) => say(`The model cannot be loaded: ${error.message}.`, true));
