"""Pictures of images beside their annotations."""

import base64

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.formats.class_png import read_class_ids
from mask2former.formats.panoptic_png import read_id_map_strictly
from mask2former.formats.rle import from_segmentation
from mask2former.visualization import SegLocalVisualizer

from .inspect_semantic import read_labels
from .problem import printable
from .report import SplitReport
from .source import Entry, Source


def pictures_of(split: SplitReport, limit: int) -> list[tuple[str, list[tuple[bool, str]], str]]:
    """Draw up to ``limit`` images, those with errors first, then those with warnings.

    Returns:
        list: (title, [(whether it is an error, what is wrong), ...], the JPEG file in base64) of each.
    """
    texts = {}
    for problem in split.problems:
        texts.setdefault(problem.image, []).append((problem.is_error, printable(f'{problem.kind}: {problem.text}')))
    entries = split.source.entries
    rank = {image_id: 1 + any(error for error, _ in rows) for image_id, rows in texts.items()}
    order = sorted(entries, key=lambda image_id: -rank.get(image_id, 0))
    pictures = []
    for image_id in order:
        if len(pictures) >= limit:
            break
        drawn = _draw(entries[image_id], split.source)
        if drawn is not None:
            data = cv2.imencode('.jpg', drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
            title = printable(f'image {image_id}: {entries[image_id].path}')
            pictures.append((title, texts.get(image_id, []), base64.b64encode(data.tobytes()).decode()))
    return pictures


def _draw(entry: Entry, source: Source) -> np.ndarray | None:
    """Draw the image beside its annotation, RGB; None where the image cannot be read."""
    turn = 0 if source.turns else cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(content, cv2.IMREAD_COLOR | turn) if (content := _content(entry.path)).size else None
    if image is None:
        return None
    image = np.ascontiguousarray(image[..., ::-1])
    visualizer = SegLocalVisualizer(panel_sides=(320, 640))
    visualizer.dataset_meta = dict(
        classes=(*(printable(row.get('name')) for row in source.categories.values()), 'value without a meaning'),
        isthing=(*(bool(row.get('isthing')) for row in source.categories.values()), False),
    )
    try:
        return visualizer.draw_datasample(image, _sample(entry, source, image.shape[:2]))
    except Exception:  # such an annotation is among the problems already; the picture then shows the image alone
        return visualizer.draw_datasample(image)


def _content(path: str) -> np.ndarray:
    try:
        return np.fromfile(path, dtype=np.uint8)
    except OSError:
        return np.zeros(0, dtype=np.uint8)


def _sample(entry: Entry, source: Source, shape: tuple[int, int]) -> DetDataSample:
    labels = {category: place for place, category in enumerate(source.categories)}
    known = [segment for segment in entry.segments if segment.get('category_id') in labels]
    sample = DetDataSample()
    if source.form == 'instance':
        known = [segment for segment in known if segment.get('segmentation')]
        sample.gt_segments = InstanceData(
            labels=np.array([labels[segment['category_id']] for segment in known], dtype=np.int64),
            masks=[from_segmentation(segment['segmentation'], *shape) for segment in known],
        )
    elif entry.map_path is not None:
        if source.form == 'semantic':
            id_map = read_labels(read_class_ids(entry.map_path), source.label_table) + 1  # (H, W)
            id_map[id_map == -1] = len(labels) + 1  # a value without a meaning
            infos = [dict(id=label + 1, label=label, iscrowd=0) for label in range(len(labels) + 1)]
        else:
            id_map = read_id_map_strictly(entry.map_path)  # (H, W)
            infos = [
                dict(id=segment['id'], label=labels[segment['category_id']], iscrowd=segment.get('iscrowd', 0))
                for segment in known
            ]
        present = set(np.unique(id_map).tolist())
        isthing = [bool(row.get('isthing')) for row in source.categories.values()]
        sample.gt_panoptic_seg = PixelData(
            metainfo=dict(
                segments_info=[
                    dict(info, isthing=source.form == 'panoptic' and isthing[info['label']])
                    for info in infos
                    if info['id'] in present
                ]
            )
        )
        sample.gt_panoptic_seg.id_map = id_map[None]  # (1, H, W)
    return sample
