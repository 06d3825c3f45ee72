"""What one frame of a video draws: tracks and segments whose colour follows from their id, in every frame the same."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample

from mask2former.evaluation.track_average_precision import track_ious
from mask2former.formats.rle import areas_of, decode_mask, encode_segmentation

from .class_table import RGB, ClassTable, generated_color
from .segment_map import SegmentMap


def track_color(track_id: int) -> RGB:
    """The colour of a track, whatever its class: neighbouring numbers have colours far apart."""
    return generated_color(track_id)


def from_tracks(tracks: Sequence[Mapping], table: ClassTable, shape: tuple[int, int]) -> SegmentMap:
    """Make a panel of the tracks that a frame shows. Smaller ones lie on top.

    Args:
        tracks: ``dict(id, label, segmentation)`` of each, with a ``score``, unless it is true; run-length encodings.
        table: Names.
        shape: (H, W) of the frame.
    """
    panel = SegmentMap(np.zeros(shape, np.int32), dim_void=False)
    areas = np.array(areas_of([track['segmentation'] for track in tracks]), np.int64)  # (n,)
    for number, index in enumerate(np.argsort(-areas, kind='stable'), start=1):
        track = tracks[index]
        panel.id_map[decode_mask(track['segmentation'])] = number
        panel.masks.append(track['segmentation'])
        panel.colors.append(track_color(track['id']))
        panel.texts.append(_text(table, track))
    return panel


def from_frame_segments(id_map: Any, segments_info: Sequence[Mapping], table: ClassTable) -> SegmentMap:
    """Make a panel of the panoptic segments of a frame: things have the colours of their ids, stuff of its class.

    Args:
        id_map: (H, W), 0 is void; a tensor or an array.
        segments_info: ``dict(id, label)`` of each, and perhaps a ``score``.
        table: Names and colours.
    """
    source = np.asarray(id_map)
    panel = SegmentMap(np.zeros(source.shape, np.int32))
    for number, info in enumerate(segments_info, start=1):
        isthing = table.isthing(info['label'])
        panel.id_map[source == info['id']] = number
        panel.colors.append(track_color(info['id']) if isthing else table.color(info['label']))
        panel.texts.append(_text(table, info) if isthing else table.name(info['label']))
    return panel


def from_labels(sem_seg: Any, table: ClassTable) -> SegmentMap:
    """Make a panel of the labels (H, W) of a frame, where every pixel has a class."""
    labels, inverse = np.unique(np.asarray(sem_seg), return_inverse=True)
    panel = SegmentMap((inverse.reshape(np.shape(sem_seg)) + 1).astype(np.int32))
    panel.colors += [table.color(label) for label in labels.tolist()]
    panel.texts += [table.name(label) for label in labels.tolist()]
    return panel


class VideoPanels:
    """The panels of the frames of a whole video: truth and predictions, as far as there are.

    True tracks have numbers from 1 on. A predicted one has that of the true track that it matches, whatever its class,
    with an IoU of 0.5 over the whole video or more, the best score first; others have the numbers that follow. Panoptic
    segments keep their ids.

    Args:
        sample: ``gt_tracks``, ``pred_tracks``, ``gt_panoptic_video``, ``pred_panoptic_video`` and ``pred_sem_seg``, see
            docs/design.md.
        table: Names and colours.
        draw_gt: Whether to draw the truth.
        draw_pred: Whether to draw predictions.
        score_thr: Predicted tracks of a lower score are left out.
    """

    def __init__(
        self, sample: DetDataSample, table: ClassTable, draw_gt: bool, draw_pred: bool, score_thr: float
    ) -> None:
        self.sample, self.table = sample, table
        self.wanted = [('Truth', 'gt')] * draw_gt + [('Prediction', 'pred')] * draw_pred
        truth = _encoded(sample.get('gt_tracks') or () if draw_gt else (), sample)
        found = [track for track in sample.get('pred_tracks') or () if track['score'] >= score_thr]
        found.sort(key=lambda track: -track['score'])
        self.tracks = dict(gt=truth, pred=_encoded(found, sample))
        self.numbers = dict(gt=range(1, len(truth) + 1), pred=match_numbers(self.tracks['pred'], truth))

    def __getitem__(self, place: int) -> list[tuple[str, SegmentMap]]:
        """The panels (title, segments) of one of the sample's frames."""
        sample, panels = self.sample, []
        for title, kind in self.wanted:
            if f'{kind}_panoptic_video' in sample:
                video = sample.get(f'{kind}_panoptic_video')
                panels.append((title, from_frame_segments(video['id_maps'][place], video['segments_info'], self.table)))
            elif f'{kind}_tracks' in sample:
                shown = [
                    dict(track, id=number, segmentation=track['segmentations'][place])
                    for number, track in zip(self.numbers[kind], self.tracks[kind])
                    if track['segmentations'][place]
                ]
                panels.append((title, from_tracks(shown, self.table, sample.ori_shape)))
            elif f'{kind}_sem_seg' in sample:
                panels.append((title, from_labels(sample.get(f'{kind}_sem_seg').sem_seg[place].cpu(), self.table)))
        return panels


def match_numbers(found: Sequence[Mapping], truth: Sequence[Mapping]) -> list[int]:
    """The numbers of found tracks, the best first, beside true ones that are numbered from 1 on; see
    :class:`VideoPanels`."""
    ious = track_ious(*([track['segmentations'] for track in side] for side in (found, truth)))  # (found, truth)
    numbers, free = [], set(range(len(truth)))
    for row in ious:
        best = max(free, key=lambda column: row[column], default=None)  # noqa: B023
        if best is not None and row[best] >= 0.5:
            free.remove(best)
            numbers.append(best + 1)
        else:
            numbers.append(0)
    others = itertools.count(len(truth) + 1)
    return [number or next(others) for number in numbers]


def _encoded(tracks: Sequence[Mapping], sample: DetDataSample) -> list[dict]:
    """The tracks with run-length encodings, None where the object is not seen."""
    return [
        dict(
            track,
            segmentations=[
                encode_segmentation(segmentation, sample.ori_shape, f'frame {place}') if segmentation else None
                for place, segmentation in enumerate(track['segmentations'])
            ],
        )
        for track in tracks
    ]


def _text(table: ClassTable, track: Mapping) -> str:
    score = f' {track["score"]:.2f}' if 'score' in track else ''
    return f'{table.name(track["label"])} {track["id"]}{score}'
