"""Run a Mask2Former that `mask2former export` wrote as ONNX: needs numpy and onnxruntime only.

from mask2former_onnx import Model

model = Model('model.onnx')
result = model(image)                  # (H, W, 3) uint8 RGB
result.panoptic, result.segments       # (H, W) int32, 0 is void; dict(id, label, name, isthing, score, area) each
result.instances                       # dict(label, name, score, box, mask) each, the best first
result.semantic                        # (H, W) int32, labels

python mask2former_onnx.py model.onnx image.jpg     # needs Pillow, too, to read it
"""

import json
import sys
from typing import NamedTuple

import numpy as np
import onnxruntime


class Result(NamedTuple):
    """Results of an image, at its own size; what the model does not give is None.

    Attributes:
        panoptic: (H, W) int32, ids of segments, 0 is void.
        segments: ``dict(id, label, name, isthing, score, area)`` of each.
        instances: ``dict(label, name, score, box, mask)`` of each, the best first; the box is x, y, width and height in
            pixels, the mask (H, W) bool.
        semantic: (H, W) int32, labels.
    """

    panoptic: np.ndarray | None
    segments: list[dict] | None
    instances: list[dict] | None
    semantic: np.ndarray | None


class Model:
    """An exported model.

    Args:
        path: The ONNX file.
        threads: Of the processor; by default all cores.
        providers: Of onnxruntime, such as ``['CUDAExecutionProvider']``.

    Attributes:
        meta (dict): ``classes``, ``isthing``, ``palette``, ``category_ids``, thresholds, and how images are prepared:
            ``size`` (H, W) of the input, or None for any multiples of ``divisor``, and ``scale``.
    """

    def __init__(self, path: str, threads: int = 0, providers: tuple[str, ...] = ('CPUExecutionProvider',)) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
        said = self.session.get_modelmeta().custom_metadata_map.get('mask2former')
        if said is None:
            raise ValueError(f"'{path}' does not say what it is: write it with `mask2former export`.")
        self.meta = json.loads(said)
        if 'results' in self.meta:
            raise ValueError(f"'{path}' gives results, not logits: onnxruntime alone runs it on an image.")

    @classmethod
    def of(cls, meta: dict) -> 'Model':
        """One without a file, for :meth:`prepare` and :meth:`results` where something else runs the network."""
        model = cls.__new__(cls)
        model.meta = meta
        return model

    def __call__(self, image: np.ndarray) -> Result:
        """Segment an image (H, W, 3) uint8 RGB."""
        [result] = self.batch([image])
        return result

    def batch(self, images: list[np.ndarray]) -> list[Result]:
        """Segment images of any sizes; those whose inputs have the same size go through the model together."""
        inputs, shapes = zip(*(self.prepare(image) for image in images)) if images else ((), ())
        found: dict[int, Result] = {}
        for size in dict.fromkeys(x.shape for x in inputs):
            places = [place for place, x in enumerate(inputs) if x.shape == size]
            fed = {'image': np.stack([inputs[place] for place in places])}
            for place, logits, masks in zip(places, *self.session.run(['class_logits', 'mask_logits'], fed)):
                found[place] = self.results(logits, masks, shapes[place], images[place].shape[:2])
        return [found[place] for place in range(len(images))]

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """The input (3, H, W) float32 of an image, scaled and padded; and the size (h, w) of the image within it."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f'An image must be (H, W, 3) uint8 RGB, not {image.dtype} of shape {image.shape}.')
        h, w = self.scaled_size(*image.shape[:2])
        scaled = image
        if (h, w) != image.shape[:2] and self.meta.get('antialias'):
            rows, columns = (_bilinear(*sides, antialias=True) for sides in zip(image.shape, (h, w)))
            scaled = np.rint(_resized(image.transpose(2, 0, 1), rows, columns)).transpose(1, 2, 0)  # (h, w, 3)
        elif (h, w) != image.shape[:2]:
            scaled = _as_opencv(image, h, w)
        padded = np.empty((3, *self.input_size(h, w)), np.float32)
        padded[:] = np.asarray(self.meta['pad_val'], np.float32)[:, None, None]
        padded[:, :h, :w] = scaled.transpose(2, 0, 1)
        return padded, (h, w)

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """The size (h, w) that an image gets."""
        most = self.meta['size']
        if most is None and self.meta['scale'] is None:
            return height, width
        if most is None and not self.meta['keep_ratio']:
            return self.meta['scale'][1], self.meta['scale'][0]
        if most is None:  # a frame that may lie across
            long, short = max(self.meta['scale']), min(self.meta['scale'])
            factor = min(long / max(height, width), short / min(height, width))
            most = (long, long)
        else:
            factor = min(most[0] / height, most[1] / width)
        h, w = (max(1, min(int(side * factor + 0.5), limit)) for side, limit in zip((height, width), most))
        return h, w

    def input_size(self, h: int, w: int) -> tuple[int, int]:
        """The size (H, W) of the input of an image that is scaled to (h, w)."""
        divisor = self.meta.get('divisor')
        H, W = self.meta['size'] or (-(-side // divisor) * divisor for side in (h, w))
        return H, W

    def results(
        self, class_logits: np.ndarray, mask_logits: np.ndarray, shape: tuple[int, int], original: tuple[int, ...]
    ) -> Result:
        """Results of logits (Q, K + 1) and (Q, h', w') of an image that has ``shape`` (h, w) in the input."""
        to_shape = [
            _bilinear(cells, whole)[:inner]
            for cells, whole, inner in zip(mask_logits.shape[1:], self.input_size(*shape), shape)
        ]
        to_original = [_bilinear(inner, outer) for inner, outer in zip(shape, original)]
        # Two bilinear steps as one matrix for each direction: to the input's size, cut, to the original size.
        at_once = [second @ first for first, second in zip(to_shape, to_original)]
        scores = np.exp(class_logits - class_logits.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)  # (Q, K + 1)

        def enlarged(queries: np.ndarray) -> np.ndarray:
            return _resized(mask_logits[queries], *at_once)  # (n, H, W)

        panoptic = segments = instances = semantic = None
        if self.meta['panoptic']:
            panoptic, segments = self._panoptic(scores, enlarged)
        if self.meta['instance']:
            instances = self._instances(scores, enlarged)
        if rule := self.meta['semantic']:
            if rule == 'logits':  # each query stands for a class
                totals = enlarged(np.arange(len(scores)))
            elif rule == 'scores':  # of the input's size
                totals = _resized(
                    _class_scores(scores, lambda query: _resized(mask_logits[query], *to_shape)), *to_original
                )
            else:
                totals = _class_scores(scores, enlarged)
            semantic = totals.argmax(0).astype(np.int32)
        return Result(panoptic, segments, instances, semantic)

    def _panoptic(self, scores: np.ndarray, enlarged) -> tuple[np.ndarray, list[dict]]:
        """Each pixel goes to the query with the highest score times probability; weak segments are dropped."""
        classes, isthing, rule = self.meta['classes'], self.meta['isthing'], self.meta['panoptic']
        labels, best = scores.argmax(-1), scores.max(-1)
        kept = np.flatnonzero((labels < len(classes)) & (best > rule['score_thr']))
        probability = _sigmoid(enlarged(kept))  # (n, H, W)
        out = np.zeros(probability.shape[1:], np.int32)
        if not len(kept):
            return out, []
        winner = (best[kept, None, None] * probability).argmax(0)
        segments: list[dict] = []
        stuff: dict[int, dict] = {}
        for place, query in enumerate(kept):
            label, inside, won = int(labels[query]), probability[place] >= 0.5, winner == place
            visible = won & inside if rule.get('inside_mask', True) else won
            if not inside.any() or not visible.any() or won.sum() < rule['overlap_thr'] * inside.sum():
                continue
            segment = stuff.get(label)
            if segment is None:
                segment = dict(id=len(segments) + 1, label=label, name=classes[label], isthing=isthing[label])
                segment |= dict(score=float(best[query]), area=0)
                segments.append(segment)
                if not isthing[label]:
                    stuff[label] = segment
            out[visible] = segment['id']
            segment['area'] += int(visible.sum())
        return out, segments

    def _instances(self, scores: np.ndarray, enlarged) -> list[dict]:
        """The pairs of query and class with the highest scores; each is multiplied with its mask's mean probability."""
        classes, count = self.meta['classes'], self.meta['instance']['max_per_image']
        least = self.meta['instance'].get('score_thr', 0.0)
        flat = scores[:, :-1].ravel()
        found = []
        for pair in np.argsort(-flat, kind='stable')[:count]:
            query, label = divmod(int(pair), len(classes))
            if not self.meta['isthing'][label] or flat[pair] < least:
                continue
            logits = enlarged(np.array([query]))[0]
            mask = logits > 0
            quality = _sigmoid(logits[mask]).sum() / (mask.sum() + 1e-6)
            score = float(flat[pair] * quality)
            if score >= least:
                found.append(dict(label=label, name=classes[label], score=score, box=_box(mask), mask=mask))
        return sorted(found, key=lambda one: -one['score'])


def _bilinear(size: int, wanted: int, antialias: bool = False) -> np.ndarray:
    """(wanted, size), the weights with which a line of values is resized, between the centres of the pixels.

    With ``antialias`` each of fewer values is the mean of all that it stands for, as Pillow does it.
    """
    step = size / wanted
    reach = max(step, 1) if antialias else 1.0
    places = (np.arange(wanted) + 0.5) * step - 0.5
    if reach == 1:
        places = np.clip(places, 0, size - 1)
    weights = np.maximum(1 - np.abs(np.arange(size) - places[:, None]) / reach, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _as_opencv(image: np.ndarray, h: int, w: int) -> np.ndarray:
    """(h, w, 3) of an image (H, W, 3) uint8, the values that OpenCV's bilinear resizing of bytes gives.

    It weighs by 2048ths, and rounds down what was summed along a row, and each of the two rows.
    """

    def two(size: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        places = ((np.arange(wanted) + 0.5) * (1 / (wanted / size)) - 0.5).astype(np.float32)
        first = np.floor(places).astype(int)
        return first, places - first, np.stack((first, first + 1)).clip(0, size - 1)

    def weights(share: np.ndarray, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        left, right = (np.rint(part * 2048).astype(np.int32).reshape(shape) for part in (np.float32(1) - share, share))
        return left, right

    first, share, (a, b) = two(image.shape[1], w)
    left, right = weights(np.where((first < 0) | (first >= image.shape[1] - 1), np.float32(0), share), -1, 1)
    line = (image[:, a] * left + image[:, b] * right) >> 4  # (H, w, 3)
    _, share, (a, b) = two(image.shape[0], h)
    left, right = weights(share, -1, 1, 1)
    return ((line[a] * left >> 16) + (line[b] * right >> 16) + 2) >> 2


def _resized(maps: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(n, H, W) of maps (n, h, w) and matrices (H, h) and (W, w)."""
    return np.matmul(np.matmul(down, maps), across.T)


def _class_scores(scores: np.ndarray, masks) -> np.ndarray:
    """(K, H, W) of scores (Q, K + 1) and what gives mask logits (n, H, W) of queries (n,)."""
    totals = np.zeros((), np.float32)
    for query in range(len(scores)):  # one mask at a time
        totals = totals + scores[query, :-1, None, None] * _sigmoid(masks(np.array([query])))
    return totals


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -80, 80)))


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


if __name__ == '__main__':
    from PIL import Image

    if len(sys.argv) != 3:
        sys.exit('Usage: python mask2former_onnx.py model.onnx image.jpg')
    shown = Model(sys.argv[1])(np.asarray(Image.open(sys.argv[2]).convert('RGB')))
    for one in shown.segments if shown.segments is not None else shown.instances or []:
        print(f'{one["name"]}: {100 * one["score"]:.0f} %')
