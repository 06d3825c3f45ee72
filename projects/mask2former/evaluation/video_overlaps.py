"""What panoptic maps of a video share, frame after frame: all that its metrics need to know of them."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch

from mask2former.errors import DataError

from .sample_fields import image_name, require_field
from .segment_matching import Overlaps, find_overlaps


class VideoOverlaps(NamedTuple):
    """Of each of T frames which ids share how many pixels, and what the ids are in the whole video."""

    frames: list[Overlaps]
    gt_segments: list[dict]
    pred_segments: list[dict]


def video_overlaps(sample: dict) -> VideoOverlaps:
    """Compare ``gt_panoptic_video`` with ``pred_panoptic_video`` of a data sample.

    Both are a ``dict(id_maps, segments_info)``. ``id_maps`` has the T maps ``(H, W)``, 0 is void, and may
    be any iterable, such as one that reads files: one frame is held at a time. Each metric goes through it once.

    Raises:
        DataError: Something is missing, the lengths or sizes differ, an id stands twice or for two classes, or a
            predicted id is not listed.
    """
    truth = require_field(sample, 'gt_panoptic_video', 'give the id maps of the ground truth')
    found = require_field(sample, 'pred_panoptic_video', 'test a model for panoptic videos')
    for side, element in (('ground truth', truth), ('prediction', found)):
        ids = [segment['id'] for segment in element['segments_info']]
        twice = next((value for value in ids if ids.count(value) > 1), None)
        if twice is not None:
            raise DataError(
                f'The {side} of {image_name(sample)} lists the id {twice} twice: a segment has one id and one class in '
                'the whole video.'
            )
    frames = []
    for place, maps in enumerate(zip_longest(truth['id_maps'], found['id_maps'])):
        if any(pixels is None for pixels in maps):
            raise DataError(
                f'The ground truth and the prediction of {image_name(sample)} differ in their numbers of frames: give '
                'an id map for each frame.'
            )
        try:
            frames.append(find_overlaps(*(_plane(pixels) for pixels in maps)))
        except DataError as error:
            raise DataError(f'Frame {place} of {image_name(sample)}: {error}') from error
    if not frames:
        raise DataError(f'The ground truth and the prediction of {image_name(sample)} have no frame.')
    known = {0, *(segment['id'] for segment in found['segments_info'])}
    for place, overlaps in enumerate(frames):
        unknown = sorted(set(overlaps.pred_ids.tolist()) - known)
        if unknown:
            raise DataError(
                f'Frame {place} of the prediction of {image_name(sample)} has the id {unknown[0]}, which its '
                'segments_info does not list.'
            )
    return VideoOverlaps(frames, list(truth['segments_info']), list(found['segments_info']))


def _plane(pixels: torch.Tensor | np.ndarray) -> np.ndarray:
    pixels = pixels.cpu().numpy() if isinstance(pixels, torch.Tensor) else np.asarray(pixels)
    return pixels[0] if pixels.ndim == 3 and len(pixels) == 1 else pixels


def join_overlaps(frames: Sequence[Overlaps]) -> Overlaps:
    """The overlaps of several frames together, each pair once."""
    gt_ids, pred_ids, pixels = (np.concatenate(column) for column in zip(*frames))
    pairs, index = np.unique(gt_ids << 32 | pred_ids, return_inverse=True)
    joined = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(joined, index, pixels)
    return Overlaps(pairs >> 32, pairs & 0xFFFFFFFF, joined)


def sliding_overlaps(frames: Sequence[Overlaps], length: int) -> Iterator[Overlaps]:
    """The overlaps of every ``length`` frames in succession; none where the video is shorter."""
    for start in range(len(frames) - length + 1):
        yield join_overlaps(frames[start : start + length])
