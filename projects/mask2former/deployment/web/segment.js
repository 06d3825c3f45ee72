// From an image to the model's input, and from its logits to segments: the rules of mask2former_onnx.py.
// A line of values is resized by `lines`: for each new value the first old one that it needs, and their weights.

/** Lines that resize `size` values to `wanted` ones, bilinearly, between the centres of the pixels. */
function bilinear(size, wanted) {
  return Array.from({ length: wanted }, (_, index) => {
    const place = Math.min(Math.max(((index + 0.5) * size) / wanted - 0.5, 0), size - 1);
    const first = Math.floor(place);
    const rest = place - first;
    return first + 1 < size ? { first, weights: [1 - rest, rest] } : { first, weights: [1] };
  });
}

/** Lines that do in one step what `before` and then `after` do. */
function composed(before, after) {
  return after.map(({ first, weights }) => {
    const start = before[first].first;
    const sums = [];
    weights.forEach((weight, step) => {
      const inner = before[first + step];
      inner.weights.forEach((value, place) => {
        const at = inner.first - start + place;
        sums[at] = (sums[at] ?? 0) + weight * value;
      });
    });
    return { first: start, weights: sums };
  });
}

/** Resize (height, width) values into `out`, whose size is that of the lines. */
function resize(values, width, rows, columns, out) {
  const line = new Float32Array(width);
  rows.forEach(({ first, weights }, y) => {
    line.fill(0);
    weights.forEach((weight, step) => {
      const from = (first + step) * width;
      for (let x = 0; x < width; x++) line[x] += weight * values[from + x];
    });
    columns.forEach((column, x) => {
      let sum = 0;
      for (let step = 0; step < column.weights.length; step++) sum += column.weights[step] * line[column.first + step];
      out[y * columns.length + x] = sum;
    });
  });
}

/** The nearest whole number, of two the even one, as numpy's rint. */
function rint(value) {
  const above = Math.round(value);
  return above - value === 0.5 && above % 2 ? above - 1 : above;
}

/** The size [h, w] that an image has within the input, into which it is scaled. */
function fitted(meta, height, width) {
  const [most, widest] = meta.size;
  const factor = Math.min(most / height, widest / width);
  return [Math.min(Math.floor(height * factor + 0.5), most), Math.min(Math.floor(width * factor + 0.5), widest)];
}

/** The input (3, H, W) of pixels (height, width, RGBA), scaled to fit into it and padded. */
function prepare(meta, pixels, height, width) {
  const [H, W] = meta.size;
  const [h, w] = fitted(meta, height, width);
  const rows = bilinear(height, h);
  const columns = bilinear(width, w);
  const input = new Float32Array(3 * H * W);
  const plane = new Float32Array(height * width);
  const scaled = new Float32Array(h * w);
  for (let channel = 0; channel < 3; channel++) {
    for (let at = 0; at < plane.length; at++) plane[at] = pixels[4 * at + channel];
    resize(plane, width, rows, columns, scaled);
    const target = input.subarray(channel * H * W, (channel + 1) * H * W).fill(meta.pad_val[channel]);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) target[y * W + x] = Math.min(Math.max(rint(scaled[y * w + x]), 0), 255);
    }
  }
  return input;
}

/** The surest class of each query, no object included: [label, score] of logits (Q, K + 1). */
function surest(logits, Q) {
  const classes = logits.length / Q;
  return Array.from({ length: Q }, (_, query) => {
    const row = logits.subarray(query * classes, (query + 1) * classes);
    const label = row.indexOf(Math.max(...row));
    return [label, 1 / row.reduce((sum, value) => sum + Math.exp(value - row[label]), 0)];
  });
}

/**
 * The panoptic result: each pixel goes to the query with the highest score times probability; weak segments are dropped.
 *
 * `logits` are (Q, K + 1), `masks` (Q, h', w') of which `dims` is the shape. Returns ids (height * width), 0 is void,
 * and segments {id, label, name, isthing, score, area}.
 */
function panoptic(meta, logits, masks, dims, height, width) {
  const [Q, cellsDown, cellsAcross] = dims;
  const [h, w] = fitted(meta, height, width);
  const rows = composed(bilinear(cellsDown, meta.size[0]), bilinear(h, height));
  const columns = composed(bilinear(cellsAcross, meta.size[1]), bilinear(w, width));
  const { score_thr: leastScore, overlap_thr: leastOverlap, inside_mask: onlyInside = true } = meta.panoptic;
  const kept = surest(logits, Q)
    .map(([label, score], query) => ({ query, label, score, inside: 0, won: 0, visible: 0, id: 0 }))
    .filter(({ label, score }) => label < meta.classes.length && score > leastScore);
  const best = new Float32Array(height * width);
  const winner = new Int16Array(height * width).fill(-1);
  const shown = new Uint8Array(height * width);
  const enlarged = new Float32Array(height * width);
  kept.forEach((one, place) => {
    const cells = cellsDown * cellsAcross;
    resize(masks.subarray(one.query * cells, (one.query + 1) * cells), cellsAcross, rows, columns, enlarged);
    for (let at = 0; at < enlarged.length; at++) {
      const inside = enlarged[at] >= 0 ? 1 : 0;
      one.inside += inside;
      const value = Math.fround(one.score / (1 + Math.exp(-enlarged[at])));
      if (winner[at] >= 0 && value <= best[at]) continue;
      best[at] = value;
      winner[at] = place;
      shown[at] = onlyInside ? inside : 1;
    }
  });
  for (let at = 0; at < winner.length; at++) {
    if (winner[at] < 0) continue;
    kept[winner[at]].won++;
    kept[winner[at]].visible += shown[at];
  }
  const segments = [];
  const stuff = new Map();
  for (const one of kept) {
    if (!one.inside || !one.visible || one.won < leastOverlap * one.inside) continue;
    let segment = stuff.get(one.label);
    if (!segment) {
      const [name, isthing] = [meta.classes[one.label], meta.isthing[one.label]];
      segment = { id: segments.length + 1, label: one.label, name, isthing, score: one.score, area: 0 };
      segments.push(segment);
      if (!isthing) stuff.set(one.label, segment);
    }
    segment.area += one.visible;
    one.id = segment.id;
  }
  const ids = new Int32Array(winner.length);
  for (let at = 0; at < ids.length; at++) if (winner[at] >= 0 && shown[at]) ids[at] = kept[winner[at]].id;
  return { ids, segments };
}
