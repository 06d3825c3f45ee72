"""Files for Cityscapes' test server (https://www.cityscapes-dataset.com/submit), as cityscapesscripts reads them."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mask2former.formats.rle import decode_mask

from .cityscapes_names import frame_of
from .results_file import paint_segments
from .submission_files import add_png, panoptic_colors, require_predictions, segments_info


def write_cityscapes_submission(
    results: Sequence[dict], metainfo: Mapping, task: str, folder: str | Path, name: str, split: str = 'test'
) -> Path:
    """Write ``cityscapes_{task}_{split}_{name}.zip``.

    ``semantic``: a PNG of label ids for each image, ``{frame}_labelIds.png``; ``instance``: ``{frame}.txt``, whose
    lines name a mask below ``masks/``, its label id and its score; ``panoptic``: ``cityscapes_panoptic_{split}.json``
    and the folder of PNGs of that name.

    Args:
        results: As :func:`~mask2former.evaluation.results_file.read_results` gives them.
        metainfo: Of the data set: ``category_ids``, Cityscapes' label ids, and ``isthing``, K each.
        task: ``'semantic'``, ``'instance'`` or ``'panoptic'``.
        folder: Where to write.
        name: Name of the method, part of the file's name.
        split: Part of the files' names.

    Returns:
        Path: The zip file.

    Raises:
        DataError: The results lack this task's predictions, or an image is not named as Cityscapes' are.
    """
    require_predictions(results, task)
    path = Path(folder) / f'cityscapes_{task}_{split}_{name}.zip'
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = []
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for result in results:
            frame = frame_of(result['img_path'])
            if task == 'semantic':
                add_png(archive, f'{frame}_labelIds.png', _label_ids(result, metainfo['category_ids']))
            elif task == 'instance':
                _add_instances(archive, frame, result['instances'], metainfo)
            else:
                file_name = f'{frame}_panoptic.png'
                add_png(archive, f'cityscapes_panoptic_{split}/{file_name}', panoptic_colors(result))
                annotations.append(
                    dict(
                        image_id=frame,
                        file_name=file_name,
                        segments_info=segments_info(result, metainfo['category_ids']),
                    )
                )
        if task == 'panoptic':
            archive.writestr(f'cityscapes_panoptic_{split}.json', json.dumps(dict(annotations=annotations)))
    return path


def _label_ids(result: dict, category_ids: Sequence[int]) -> np.ndarray:
    """The label ids (H, W) uint8 of a semantic result."""
    segments = [dict(segment, label_id=category_ids[segment['label']]) for segment in result['semantic']]
    return paint_segments(segments, 'label_id', result['ori_shape'], np.uint8)


def _add_instances(archive: zipfile.ZipFile, frame: str, instances: dict, metainfo: Mapping) -> None:
    """Write the masks and the text file of an image; stuff, which the server does not evaluate, is left out."""
    lines = []
    for number, (label, score, mask) in enumerate(zip(instances['labels'], instances['scores'], instances['masks'])):
        if metainfo['isthing'][int(label)]:
            lines.append(f'masks/{frame}_{number}.png {metainfo["category_ids"][int(label)]} {float(score)!r}\n')
            add_png(archive, f'masks/{frame}_{number}.png', np.where(decode_mask(mask), np.uint8(255), np.uint8(0)))
    archive.writestr(f'{frame}.txt', ''.join(lines))
