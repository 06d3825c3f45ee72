"""Files for COCO's test server (https://cocodataset.org/#upload): panoptic and instance results of test-dev."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.errors import DataError
from mask2former.rle import decode_mask, json_rle

METHOD_TASKS = dict(panoptic='panoptic', instance='detections')
_KEYS = dict(panoptic='panoptic', instance='instances', semantic='semantic')  # in a result


def write_submission(
    results: Sequence[dict],
    category_ids: Sequence[int],
    task: str,
    folder: str | Path,
    name: str,
    split: str = 'test-dev2017',
) -> Path:
    """Write the zip file that the server takes.

    ``panoptic``: ``panoptic_{split}_{name}_results.zip`` with a JSON file and a folder of PNGs of that name;
    ``instance``: ``detections_{split}_{name}_results.zip`` with one JSON file, masks as RLE.

    Args:
        results: As :func:`~mask2former.evaluation.dumped_results.read_results` gives them.
        category_ids: ``category_ids`` of the metainfo, K.
        task: ``'panoptic'`` or ``'instance'``.
        folder: Where to write.
        name: Name of the algorithm, part of the file's name.
        split: Part of the file's name.

    Returns:
        Path: The zip file.

    Raises:
        DataError: The results lack this task's predictions.
    """
    require_predictions(results, task)
    stem = f'{METHOD_TASKS[task]}_{split}_{name}_results'
    path = Path(folder) / f'{stem}.zip'
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        if task == 'instance':
            content = [entry for result in results for entry in _detections(result, category_ids)]
        else:
            content = dict(annotations=[_add_panoptic(archive, stem, result, category_ids) for result in results])
        archive.writestr(f'{stem}.json', json.dumps(content))
    return path


def _detections(result: dict, category_ids: Sequence[int]) -> list[dict]:
    found = result['instances']
    return [
        dict(
            image_id=result['img_id'],
            category_id=category_ids[int(label)],
            score=float(score),
            segmentation=json_rle(mask),
        )
        for label, score, mask in zip(found['labels'], found['scores'], found['masks'])
    ]


def _add_panoptic(archive: zipfile.ZipFile, stem: str, result: dict, category_ids: Sequence[int]) -> dict:
    """Write the PNG of an image and return its annotation."""
    file_name = f'{Path(str(result["img_path"])).stem}.png'
    add_png(archive, f'{stem}/{file_name}', panoptic_colours(result))
    return dict(image_id=result['img_id'], file_name=file_name, segments_info=segments_info(result, category_ids))


def require_predictions(results: Sequence[dict], task: str) -> None:
    """Raise ``ValueError`` where a result lacks the predictions of ``'panoptic'``, ``'instance'`` or ``'semantic'``."""
    for result in results:
        if _KEYS[task] not in result:
            raise DataError(
                f"The result of image {result['img_id']} has no '{_KEYS[task]}': test with the {task} "
                'postprocessor in the config.'
            )


def panoptic_colours(result: dict) -> np.ndarray:
    """Return the map (H, W, 3) uint8 whose colours are the segments' ids, R + 256 G + 65536 B."""
    rgb = np.zeros((*result['ori_shape'], 3), dtype=np.uint8)  # (H, W, 3)
    for segment in result['panoptic']:
        rgb[decode_mask(segment['mask'])] = [segment['id'] >> shift & 255 for shift in (0, 8, 16)]
    return rgb


def segments_info(result: dict, category_ids: Sequence[int]) -> list[dict]:
    """Return the ``segments_info`` of a panoptic result, as COCO's format has it."""
    return [
        dict(id=int(segment['id']), category_id=category_ids[int(segment['label'])]) for segment in result['panoptic']
    ]


def add_png(archive: zipfile.ZipFile, name: str, pixels: np.ndarray) -> None:
    """Write pixels, (H, W) or (H, W, 3) uint8, as a PNG, which need not be compressed again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    archive.writestr(zipfile.ZipInfo(name), buffer.getvalue())
