"""Looks at what a file of results holds before anything is made of it: the file may be a stranger's."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mask2former.formats.coco_values import is_number, is_segment_id, is_side
from mask2former.formats.rle import check_segmentation

MOST_PIXELS = 2**30  # of an image: OpenCV's limit
MOST_FRAMES = 10**5  # of a video
MOST_CLASSES = 2**15  # label maps are int16


def check_result(result: Mapping) -> None:
    """See that a result is as :class:`~mask2former.evaluation.results_file.DumpSegResults` writes it.

    Raises:
        ValueError: If it is not; the message says what is wrong.
    """
    for key in ('img_id', 'video_id'):
        _see(isinstance(result.get(key), int | str | None), f'its {key} is none')
    size = result['ori_shape']
    of_tracks = 'tracks' in result and result.keys() <= {'img_id', 'img_path', 'ori_shape', 'video_id', 'tracks'}
    if size is not None or not of_tracks:  # whose masks say it, too
        _check_size(size, 'its ori_shape')
    if 'instances' in result:
        _check_instances(result['instances'], size)
    for field in ('panoptic', 'semantic', 'tracks', 'panoptic_video', 'semantic_video'):
        if field not in result:
            continue
        frames = result.get('num_frames') if field.endswith('_video') else None
        if field.endswith('_video'):
            _see(isinstance(frames, int) and 0 < frames <= MOST_FRAMES, 'its num_frames is no number of frames')
        for segment in _rows(result[field], field):
            _check_segment(segment, field, size, frames)


def labels_of(result: Mapping) -> Iterator[int]:
    """The labels of all that is in a result that was checked."""
    yield from (int(label) for label in result.get('instances', {}).get('labels', ()))
    for field in ('panoptic', 'semantic', 'tracks', 'panoptic_video', 'semantic_video'):
        yield from (segment['label'] for segment in result.get(field, ()))


def _see(right: bool, wrong: str) -> None:
    if not right:
        raise ValueError(wrong)


def _check_size(size: Any, what: str) -> None:
    right = isinstance(size, list | tuple) and len(size) == 2 and all(map(is_side, size))
    _see(right and math.prod(size) <= MOST_PIXELS, f'{what} is no size of an image')


def _rows(content: Any, field: str) -> list[dict]:
    _see(
        isinstance(content, list) and all(isinstance(row, dict) for row in content), f'its {field} is no list of dicts'
    )
    return content


def _check_instances(found: Any, size: Sequence[int]) -> None:
    keys = {'labels', 'scores', 'bboxes', 'masks'}
    _see(isinstance(found, dict) and keys <= found.keys(), f'its instances lack {", ".join(sorted(keys))}')
    masks = found['masks']
    _see(isinstance(masks, list), 'the masks of its instances are no list')
    for key, shape, kinds in (('labels', (), 'iu'), ('scores', (), 'f'), ('bboxes', (4,), 'f')):
        values = np.asarray(found[key])
        right = values.shape == (len(masks), *shape) and values.dtype.kind in kinds and bool(np.isfinite(values).all())
        _see(right, f'the {key} of its instances are no numbers, or not one for each mask')
    _see(
        not len(masks) or 0 <= np.min(found['labels']) <= np.max(found['labels']) < MOST_CLASSES, 'it has no such label'
    )
    for mask in masks:
        _check_mask(mask, size)


def _check_segment(segment: dict, field: str, size: Sequence[int] | None, frames: int | None) -> None:
    """Check a segment of an image, or of a video of so many frames; of tracks their number is not said."""
    label = segment.get('label')
    _see(isinstance(label, int) and 0 <= label < MOST_CLASSES, f'a label of its {field} is no number')
    _see('score' not in segment or is_number(segment['score']), f'a score of its {field} is no number')
    if field.startswith('panoptic'):
        _see(is_segment_id(segment.get('id')), f'an id of its {field} is no number from 1 on')
        _see(isinstance(segment.get('isthing', True), int), f'its {field} does not say what is a thing')
    if field in ('panoptic', 'semantic'):
        _check_mask(segment.get('mask'), size)
        return
    _see(field != 'tracks' or 'score' in segment, 'one of its tracks has no score')
    masks = segment.get('segmentations')
    right = isinstance(masks, list | tuple) and (len(masks) == frames or frames is None and len(masks) <= MOST_FRAMES)
    _see(right, f'the segmentations of its {field} are no list of one for each frame')
    for mask in masks or ():
        if mask is not None:
            _check_mask(mask, size)


def _check_mask(mask: Any, size: Sequence[int] | None) -> None:
    right = isinstance(mask, dict) and isinstance(mask.get('counts'), bytes | str)
    _see(right, 'a mask is no run-length code')
    _check_size(mask.get('size'), 'that of a mask')
    check_segmentation(mask, *(size or mask['size']))
