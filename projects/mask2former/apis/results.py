"""Results as files: JSON with run-length encoded masks, and the panoptic map as a PNG of COCO's format."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.structures import DetDataSample

from mask2former.errors import ConfigError
from mask2former.formats import panoptic_png
from mask2former.formats.rle import areas_of, as_rle, box_of, encode_mask, json_rle


def sample_to_json(sample: DetDataSample, classes: Sequence[str], *, score_thr: float = 0.0) -> dict:
    """A result as plain values for ``json.dump``.

    Boxes are ``[x1, y1, x2, y2]`` in pixels of the image, right and bottom exclusive. Segmentations are COCO's
    compressed RLE, which ``pycocotools.mask`` decodes. Areas are in pixels.

    Args:
        sample: A result; each kind of it that is absent is absent from the dict.
        classes: Names of the labels.
        score_thr: Instances with lower scores are left out.

    Returns:
        dict: ``image``: path (None for an array), height, width;
        ``panoptic``: list of dict(id, label, name, isthing, score, area, bbox, segmentation);
        ``instances``: list of dict(label, name, score, area, bbox, segmentation), best first;
        ``semantic``: class name -> share of the image in 0 .. 1, largest first.
    """
    height, width = sample.ori_shape[:2]
    result: dict[str, Any] = dict(image=dict(path=sample.get('img_path'), height=height, width=width))
    if 'pred_panoptic_seg' in sample:
        id_map = sample.pred_panoptic_seg.id_map[0].cpu().numpy()  # (H, W)
        result['panoptic'] = [
            dict(
                id=info['id'],
                label=info['label'],
                name=classes[info['label']],
                isthing=bool(info['isthing']),
                score=info['score'],
                **_describe(encode_mask(id_map == info['id'])),
            )
            for info in sample.pred_panoptic_seg.segments_info
        ]
    if 'pred_instances' in sample:
        instances = sample.pred_instances
        masks = as_rle(instances.masks)
        order = instances.scores.argsort(descending=True, stable=True)
        result['instances'] = [
            dict(label=label, name=classes[label], score=score, **_describe(masks[index]))
            for index, label, score in zip(order, instances.labels[order].tolist(), instances.scores[order].tolist())
            if score >= score_thr
        ]
    if 'pred_sem_seg' in sample:
        labels, areas = sample.pred_sem_seg.sem_seg.unique(return_counts=True)
        order = areas.argsort(descending=True, stable=True)
        result['semantic'] = {
            classes[label]: area / (height * width)
            for label, area in zip(labels[order].tolist(), areas[order].tolist())
        }
    return result


def _describe(rle: dict) -> dict:
    """Area, bounding box and RLE, as JSON can hold it, of a run-length dict."""
    x, y, width, height = box_of(rle)
    return dict(
        area=areas_of([rle])[0], bbox=[int(x), int(y), int(x + width), int(y + height)], segmentation=json_rle(rle)
    )


def write_id_map(sample: DetDataSample, path: str | os.PathLike) -> None:
    """Write the panoptic map as COCO's PNG: a pixel's segment is R + 256 G + 65536 B, 0 is void.

    Raises:
        ConfigError: If the result has no panoptic map.
    """
    if 'pred_panoptic_seg' not in sample:
        raise ConfigError("The result has no panoptic map: give the config's model.postprocessors a PanopticFusion.")
    id_map = sample.pred_panoptic_seg.id_map[0].cpu().numpy()  # (H, W)
    panoptic_png.write_id_map(Path(path), id_map)


def summarize(result: dict) -> str:
    """What was found, in a line: ``'4 segments: 2 circle, sky, grass; 3 instances: 2 circle, star'``.

    Args:
        result: From :func:`sample_to_json`.
    """
    parts = []
    for key, noun in (('panoptic', 'segment'), ('instances', 'instance')):
        if key in result:
            found = Counter(item['name'] for item in result[key])
            names = ', '.join(name if count == 1 else f'{count} {name}' for name, count in found.most_common())
            parts.append(_count(len(result[key]), noun) + (f': {names}' if names else ''))
    if not parts and 'semantic' in result:
        parts = [', '.join(f'{name} {share:.0%}' for name, share in result['semantic'].items())]
    return '; '.join(parts)


def _count(number: int, noun: str) -> str:
    return f'{number or "no"} {noun}{"" if number == 1 else "s"}'
