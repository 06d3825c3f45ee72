"""Class-id PNG files: the value of a pixel is the id of its class."""

from pathlib import Path

import numpy as np

from mask2former.errors import DataError

from .images import read_pixels


def read_class_ids(path: str | Path) -> np.ndarray:
    """Read an image of one channel: ``(H, W)`` uint8, uint16 or int32. Of a palette image, its indices.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is not an image of one channel, or its values are fractions.
    """
    values = read_pixels(path, 'Class-id PNG', "check data_root and data_prefix['seg']")
    if values.ndim != 2:
        raise DataError(
            f"Class-id PNG '{path}' has {values.shape[2]} channels; it must have one (or a palette) whose values are "
            "class ids. COCO's panoptic PNG files are read by type='CocoPanopticFormat'."
        )
    if values.dtype.kind == 'f':
        raise DataError(f"Class-id PNG '{path}' has fractions for values; save it with whole numbers, the class ids.")
    return values.astype(np.uint8) if values.dtype == bool else values
