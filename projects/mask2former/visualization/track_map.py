"""What one frame of a video draws: tracks and segments whose colour follows from their id, in every frame the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample

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


def panels_of_video(
    sample: DetDataSample, place: int, table: ClassTable, draw_gt: bool, draw_pred: bool, score_thr: float
) -> list[tuple[str, SegmentMap]]:
    """The panels (title, segments) of a frame of a whole video: truth and predictions, as far as there are.

    Args:
        sample: ``gt_tracks``, ``pred_tracks``, ``gt_panoptic_video`` and ``pred_panoptic_video``, see docs/design.md.
        place: Which of the sample's frames.
        table: Names and colours.
        draw_gt: Whether to draw the truth.
        draw_pred: Whether to draw predictions.
        score_thr: Predicted tracks of a lower score are left out.
    """
    wanted = [('Truth', 'gt')] * draw_gt + [('Prediction', 'pred')] * draw_pred
    panels = []
    for title, kind in wanted:
        if f'{kind}_panoptic_video' in sample:
            video = sample.get(f'{kind}_panoptic_video')
            panels.append((title, from_frame_segments(video['id_maps'][place], video['segments_info'], table)))
        elif f'{kind}_tracks' in sample:
            shown = _shown(sample.get(f'{kind}_tracks'), place, sample.ori_shape, score_thr)
            panels.append((title, from_tracks(shown, table, sample.ori_shape)))
    return panels


def _shown(tracks: Sequence[Mapping], place: int, shape: tuple[int, int], score_thr: float) -> list[dict]:
    """The tracks that a frame shows, numbered from 1 on over the whole video."""
    return [
        dict(track, id=number, segmentation=encode_segmentation(track['segmentations'][place], shape, f'frame {place}'))
        for number, track in enumerate(tracks, start=1)
        if track['segmentations'][place] and track.get('score', 1.0) >= score_thr
    ]


def _text(table: ClassTable, track: Mapping) -> str:
    score = f' {track["score"]:.2f}' if 'score' in track else ''
    return f'{table.name(track["label"])} {track["id"]}{score}'
