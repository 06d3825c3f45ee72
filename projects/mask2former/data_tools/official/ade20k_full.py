"""ADE20K with 847 classes: 16-bit label files from the release of 2021."""

import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError, MissingFileError
from mask2former.formats.files import link_or_copy
from mask2former.formats.images import check_size, write_image
from mask2former.formats.known_metainfo import FOLDER

from .release_files import ONE_RELEASE, image_header, need, read_array

SPLITS = ('training', 'validation')
SIDE, VOID = 512, 65535


def convert_ade20k_full(root: str | Path, splits: Sequence[str], num_workers: int) -> list[Path]:
    """Write ``annotations_detectron2`` (TIFF of 0 to 846, 65535 is void) and ``images_detectron2``.

    Source of the rules: the reference's prepare_ade20k_full_sem_seg.py. An image whose shorter side is over 512 pixels
    is made smaller, so that this side is 512; the others are linked, not encoded again as the reference does. The
    release's index, a pickle file, is not needed: the folders say what it says.

    Args:
        root: ADE20K_2021_17_01, with ``images/ADE/{training,validation}``.
        splits: Of ``SPLITS``.
        num_workers: Processes.

    Returns:
        The folders of label files.

    Raises:
        MissingFileError: If a folder or a file is absent.
        DataError: If a file is broken, or two images have one name.
    """
    root, written = Path(root), []
    for split in splits:
        folder = need(root / 'images' / 'ADE' / split, 'give the folder ADE20K_2021_17_01')
        items: dict[str, Path] = {}
        for path in sorted(folder.rglob('[!.]*.jpg')):
            if path.stem in items:
                raise DataError(f"'{path}' and '{items[path.stem]}' have the same name; unpack the release again.")
            items[path.stem] = path
        if not items:
            raise MissingFileError(f"'{folder}' has no image; unpack the release completely.")
        journal = root / f'annotations_detectron2_{split}.journal'
        with resumable(journal, num_workers, settings=dict(side=SIDE)) as convert:
            convert(partial(_convert, root, split), items, f'ADE20K-full {split}')
        written.append(root / 'annotations_detectron2' / split)
    return written


@cache
def _class_of_object() -> np.ndarray:
    """``(6656,)`` uint16: the class of each number that red // 10 * 256 + green can be."""
    table = np.full(26 * 256, VOID, dtype=np.uint16)
    path = FOLDER / 'ade20k_full_object_ids.json'
    table[json.loads(path.read_text())['object_ids']] = np.arange(847)
    return table


def _convert(root: Path, split: str, image_path: Path) -> None:
    label_path = image_path.with_name(f'{image_path.stem}_seg.png')
    height, width, turned = image_header(image_path)
    rgb = read_array(label_path, 3)
    check_size(f"'{label_path}'", rgb.shape, image_path, (height, width), ONE_RELEASE)
    labels = _class_of_object()[rgb[..., 0] // 10 * np.uint16(256) + rgb[..., 1]]  # (H, W)

    target = root / 'images_detectron2' / split / image_path.name
    small = min(height, width) > SIDE
    if small:
        size = (round(width / height * SIDE), SIDE) if width >= height else (SIDE, round(height / width * SIDE))
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    if small or turned:  # the label image is not turned, so no reader may turn the image
        with Image.open(image_path) as image:
            pixels = np.asarray(image.convert('RGB'))
        if small:
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        write_image(target, pixels[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
    else:
        link_or_copy(image_path, target)
    write_image(root / 'annotations_detectron2' / split / f'{image_path.stem}.tif', labels)
