"""Files for COCO's test server (https://cocodataset.org/#upload): panoptic and instance results of test-dev."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mask2former.formats.rle import json_rle

from .submission_files import add_png, panoptic_colors, require_predictions, segments_info

# What the server calls the tasks in the names of files.
TASK_IN_FILE_NAME = dict(panoptic='panoptic', instance='detections')


def write_coco_submission(
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
        results: As :func:`~mask2former.evaluation.results_file.read_results` gives them.
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
    stem = f'{TASK_IN_FILE_NAME[task]}_{split}_{name}_results'
    path = Path(folder) / f'{stem}.zip'
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        if task == 'instance':
            content: list | dict = [entry for result in results for entry in _detections(result, category_ids)]
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
    add_png(archive, f'{stem}/{file_name}', panoptic_colors(result))
    return dict(image_id=result['img_id'], file_name=file_name, segments_info=segments_info(result, category_ids))
