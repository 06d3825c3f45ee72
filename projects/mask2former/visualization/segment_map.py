"""What one panel draws, made from any of the fields that a data sample can have."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.formats.rle import areas_of, as_rle, decode_mask

from .class_table import RGB, ClassTable, instance_color


@dataclass
class SegmentMap:
    """The segments of one panel. Segment ``i`` has the id ``i + 1``.

    Attributes:
        id_map (np.ndarray): (H, W) int32, 0 is no segment.
        colors (list[tuple[int, int, int]]): RGB colour of each segment.
        texts (list[str]): Label of each segment.
        masks (list[dict]): Run-length dict of each segment where segments may overlap, else empty.
        dim_void (bool): Whether pixels of no segment are drawn darker: everything was meant to be segmented.
    """

    id_map: np.ndarray
    colors: list[RGB] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    masks: list[dict] = field(default_factory=list)
    dim_void: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.id_map.shape


def _array(value: torch.Tensor | np.ndarray) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _text(name: str, score: float | None) -> str:
    return name if score is None else f'{name} {score:.2f}'


class SegmentColors:
    """Hands out colours: the class colour to stuff, a variation of it to each further instance of a thing class."""

    def __init__(self, table: ClassTable) -> None:
        self._table = table
        self._seen: Counter[int] = Counter()

    def next(self, label: int, isthing: bool) -> RGB:
        index = self._seen[label] if isthing else 0
        self._seen[label] += 1
        return instance_color(self._table.color(label), index)


def from_panoptic(data: PixelData, table: ClassTable) -> SegmentMap:
    """Make a panel of ``pred_panoptic_seg`` or ``gt_panoptic_seg``.

    Args:
        data: ``id_map`` (1, H, W) and the metainfo ``segments_info``. Ids which ``segments_info`` does not list are
            drawn as void.
        table: Names and colours.
    """
    source = _array(data.id_map)[0]  # (1, H, W) -> (H, W)
    id_map = np.zeros(source.shape, np.int32)
    panel = SegmentMap(id_map)
    colors = SegmentColors(table)
    areas = dict(zip(*(values.tolist() for values in np.unique(source, return_counts=True)), strict=True))
    # By area, as instances are: a large object then has like colours in all panels.
    infos = sorted(data.segments_info, key=lambda info: -areas.get(info['id'], 0))
    for number, info in enumerate(infos, start=1):
        label = int(info['label'])
        name = table.name(label) + (' (crowd)' if info.get('iscrowd') else '')
        id_map[source == info['id']] = number
        panel.colors.append(colors.next(label, bool(info['isthing'])))
        panel.texts.append(_text(name, info.get('score')))
    return panel


def from_instances(data: InstanceData, table: ClassTable, shape: tuple[int, int], score_thr: float = 0.0) -> SegmentMap:
    """Make a panel of ``pred_instances``, ``gt_segments`` or ``gt_instances``. Smaller ones lie on top.

    Args:
        data: ``labels`` (n,), ``masks``, n run-length dicts or bitmaps (n, H, W), and, of predictions, ``scores`` (n,).
        table: Names and colours.
        shape: (H, W) of the panel where there are no masks.
        score_thr: Instances whose score is lower are left out.
    """
    scores = _array(data.scores) if 'scores' in data else None
    if scores is not None:
        keep = scores >= score_thr
        data, scores = data[torch.from_numpy(keep)], scores[keep]
    masks, labels = as_rle(data.masks), _array(data.labels)
    id_map = np.zeros(masks[0]['size'] if masks else shape, np.int32)
    panel = SegmentMap(id_map, dim_void=False)
    colors = SegmentColors(table)
    areas = np.array(areas_of(masks), np.int64)  # (n,)
    for number, index in enumerate(np.argsort(-areas, kind='stable'), start=1):
        label = int(labels[index])
        id_map[decode_mask(masks[index])] = number
        panel.masks.append(masks[index])
        panel.colors.append(colors.next(label, table.isthing(label)))
        panel.texts.append(_text(table.name(label), None if scores is None else float(scores[index])))
    return panel


def from_clip(sample: DetDataSample, num_frames: int, table: ClassTable) -> list[SegmentMap]:
    """Make a panel of each frame of a clip that was packed for training; a track has one colour and number in all.

    Args:
        sample: ``gt_segments`` with ``labels`` and ``ids`` (N,), and ``gt_seg_map``, ``id_map`` (T * n, H, W).
        num_frames: T.
        table: Names and colours.
    """
    layers = _array(sample.gt_seg_map.id_map)
    frames = layers.reshape(num_frames, -1, *layers.shape[1:])  # (T, n, H, W)
    labels, ids = _array(sample.gt_segments.labels).tolist(), _array(sample.gt_segments.ids).tolist()
    colors = SegmentColors(table)
    of_track = [colors.next(label, table.isthing(label)) for label in labels]
    panels = []
    for layers in frames:
        panel = SegmentMap(np.zeros(layers.shape[1:], np.int32), dim_void=False)
        panel.colors += of_track
        panel.texts += [f'{table.name(label)} {number}' for number, label in enumerate(labels, start=1)]
        for number, value in enumerate(ids, start=1):
            panel.id_map[(layers == value).any(axis=0)] = number
        panels.append(panel)
    return panels


def from_semantic(data: PixelData, table: ClassTable) -> SegmentMap:
    """Make a panel of ``pred_sem_seg`` or ``gt_sem_seg``.

    Args:
        data: ``sem_seg`` (1, H, W) labels. Labels that are no class are void; where the classes are not known those are
            the negative ones and 255.
        table: Names and colours.
    """
    source = _array(data.sem_seg)[0]  # (1, H, W) -> (H, W)
    id_map = np.zeros(source.shape, np.int32)
    panel = SegmentMap(id_map)
    for label in np.unique(source).tolist():
        known = label < len(table.classes) if table.classes else label != 255
        if label < 0 or not known:
            continue
        panel.colors.append(table.color(label))
        panel.texts.append(table.name(label))
        id_map[source == label] = len(panel.colors)
    return panel
