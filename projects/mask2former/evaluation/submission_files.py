"""What the files for test servers share."""

import io
import zipfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mask2former.errors import DataError
from mask2former.formats.panoptic_png import id_colors
from mask2former.formats.rle import decode_mask

# The key of a result under which the predictions of a task are.
PREDICTIONS_KEY = dict(panoptic='panoptic', instance='instances', semantic='semantic')


def require_predictions(results: Sequence[dict], task: str) -> None:
    """Raise ``DataError`` where a result lacks the predictions of ``'panoptic'``, ``'instance'`` or ``'semantic'``."""
    for result in results:
        if PREDICTIONS_KEY[task] not in result:
            raise DataError(
                f"The result of image {result['img_id']} has no '{PREDICTIONS_KEY[task]}': test with the {task} "
                'postprocessor in the config.'
            )


def panoptic_colors(result: dict) -> np.ndarray:
    """The pixels (H, W, 3) uint8 RGB of the panoptic PNG of a result."""
    id_map = np.zeros(result['ori_shape'], dtype=np.int32)  # (H, W)
    for segment in result['panoptic']:
        id_map[decode_mask(segment['mask'])] = segment['id']
    return id_colors(id_map)


def segments_info(result: dict, category_ids: Sequence[int]) -> list[dict]:
    """The ``segments_info`` of a panoptic result, as COCO's format has it."""
    return [
        dict(id=int(segment['id']), category_id=category_ids[int(segment['label'])]) for segment in result['panoptic']
    ]


def add_png(archive: zipfile.ZipFile, name: str, pixels: np.ndarray) -> None:
    """Write pixels, (H, W) or (H, W, 3) uint8, as a PNG, which need not be compressed again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    archive.writestr(zipfile.ZipInfo(name), buffer.getvalue())
