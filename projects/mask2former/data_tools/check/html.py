"""Writes a report as one HTML page, with pictures within and nothing from outside."""

from pathlib import Path

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.datasets.semantic_png import UNKNOWN
from mask2former.errors import UserError
from mask2former.formats.bands import read_bands
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.files import write_text
from mask2former.formats.html_page import in_base64, render
from mask2former.formats.panoptic_png import read_id_map_strictly
from mask2former.formats.rle import from_segmentation
from mask2former.visualization import SegLocalVisualizer

from .kinds import printable
from .report import Report, SplitReport
from .source import Entry, Source
from .statistics import classes_of, counts_of, facts_of, problems_by_kind

EXAMPLES = 20
JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


def write_html(report: Report, path: str | Path, num_pictures: int) -> None:
    """Write the report with pictures of up to ``num_pictures`` images a split, those with problems first."""
    splits = []
    for split in report.splits:
        classes = classes_of(split)
        # Without pixels, after a check of headers, the bars show segments.
        key = 'pixels' if split.pixels else 'segments'
        most = max((row[key] for row in classes), default=0) or 1
        classes = [{**row, 'name': printable(row['name']), 'bar': 100 * row[key] / most} for row in classes]
        splits.append(
            dict(
                name=split.source.name,
                title=printable(split.source.title),
                classes=classes,
                counted=[*counts_of(split), 'pixels'],
                kinds=problems_by_kind(split, EXAMPLES),
                facts={name: printable(value) for name, value in facts_of(split).items()},
                pictures=_pictures_of(split, num_pictures),
                limits=[printable(sentence) for sentence in split.limits],
            )
        )
    names = dict.fromkeys(name for split in splits for name in split['facts'])
    template = Path(__file__).parent / 'report.html'
    write_text(path, render(template, errors=report.num_errors, splits=splits, facts=names))


def _pictures_of(split: SplitReport, limit: int) -> list[tuple[str, list[tuple[bool, str]], str]]:
    """Draw up to ``limit`` images, those with errors first, then those with warnings.

    Returns:
        list: (title, [(whether it is an error, what is wrong), ...], the JPEG file in base64) of each.
    """
    texts: dict = {}
    for problem in split.problems:
        texts.setdefault(problem.image, []).append((problem.is_error, printable(f'{problem.kind}: {problem.text}')))
    rank = {image_id: 1 + any(is_error for is_error, _ in rows) for image_id, rows in texts.items()}
    entries = split.source.entries
    pictures: list[tuple[str, list, str]] = []
    for image_id in sorted(entries, key=lambda image_id: -rank.get(image_id, 0)):
        if len(pictures) >= limit:
            break
        drawn = _draw(entries[image_id], split.source)
        if drawn is not None:
            data = cv2.imencode('.jpg', drawn[..., ::-1], JPEG_QUALITY)[1].tobytes()
            title = printable(f'{split.source.unit} {image_id}: {entries[image_id].path}')
            pictures.append((title, texts.get(image_id, []), in_base64(data)))
    return pictures


def _draw(entry: Entry, source: Source) -> np.ndarray | None:
    """Draw the image beside its annotation, RGB; None where the image cannot be read."""
    image = _read(entry.path, source)
    if image is None:
        return None
    visualizer = SegLocalVisualizer(panel_sides=(320, 640))
    visualizer.dataset_meta = dict(
        classes=(*(printable(row.get('name')) for row in source.categories.values()), 'value without a meaning'),
        isthing=(*(bool(row.get('isthing')) for row in source.categories.values()), False),
    )
    try:
        return visualizer.draw_datasample(image, _sample(entry, source, image.shape[:2]))
    except Exception:  # such an annotation is among the problems already; the picture then shows the image alone
        return visualizer.draw_datasample(image)


def _read(path: str, source: Source) -> np.ndarray | None:
    """The image (H, W, 3) RGB, or (H, W, N), as the pipeline loads it; None where it cannot be read."""
    if source.settings.bands is not None:
        try:
            return read_bands(path, source.settings.bands)
        except UserError:
            return None
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError:
        return None
    turn = 0 if source.settings.turns else cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(content, cv2.IMREAD_COLOR | turn) if content.size else None
    return None if image is None else np.ascontiguousarray(image[..., ::-1])


def _sample(entry: Entry, source: Source, shape: tuple[int, int]) -> DetDataSample:
    """The annotation of an image of the size ``shape`` (H, W)."""
    known = [segment for segment in entry.segments if source.index_of(segment) >= 0]
    sample = DetDataSample()
    if source.form == 'instance':
        known = [segment for segment in known if segment.get('segmentation')]
        sample.gt_segments = InstanceData(
            labels=np.array([source.index_of(segment) for segment in known], dtype=np.int64),
            masks=[from_segmentation(segment['segmentation'], *shape) for segment in known],
        )
    elif entry.map_path is not None:
        if source.form == 'semantic':
            id_map = source.labels_of(read_class_ids(entry.map_path)) + 1  # (H, W)
            id_map[id_map == UNKNOWN + 1] = len(source.categories) + 1
            infos = [dict(id=label + 1, label=label, iscrowd=0) for label in range(len(source.categories) + 1)]
        else:
            id_map = read_id_map_strictly(entry.map_path)  # (H, W)
            infos = [
                dict(id=segment['id'], label=source.index_of(segment), iscrowd=segment.get('iscrowd', 0))
                for segment in known
            ]
        present = set(np.unique(id_map).tolist())
        isthing = [bool(row.get('isthing')) for row in source.categories.values()]
        segments_info = [
            dict(info, isthing=source.form == 'panoptic' and isthing[info['label']])
            for info in infos
            if info['id'] in present
        ]
        sample.gt_panoptic_seg = PixelData(metainfo=dict(segments_info=segments_info))
        sample.gt_panoptic_seg.id_map = id_map[None]  # (1, H, W)
    return sample
