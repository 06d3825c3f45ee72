"""Cityscapes' file names, which begin with ``{city}_{sequence}_{frame}``."""

import re
from pathlib import Path

from mask2former.errors import DataError

_FRAME = re.compile(r'[^_]+_\d{6}_\d{6}(?=_|$)')


def frame_of(img_path: str | Path) -> str:
    """``'frankfurt_000000_000294'`` of ``'.../frankfurt_000000_000294_leftImg8bit.png'``.

    Raises:
        DataError: The file's name is of another form.
    """
    found = _FRAME.match(Path(img_path).stem)
    if found is None:
        raise DataError(
            f"'{img_path}' is not named as Cityscapes' images are, city_123456_123456_leftImg8bit.png: "
            'give the images their official names.'
        )
    return found.group()


def instance_ids_path(img_path: str, gt_dir: str | None = None) -> str:
    """Where the ``instanceIds`` PNG of an image lies.

    Args:
        img_path: The image, ``.../leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png`` in the official layout.
        gt_dir: Folder ``gtFine/{split}``; by default it is found from ``img_path``.

    Raises:
        DataError: The image is named otherwise, or lies elsewhere and no ``gt_dir`` is given.
    """
    frame = frame_of(img_path)
    if gt_dir is None:
        parts = list(Path(img_path).parent.parts)
        if 'leftImg8bit' not in parts:
            raise DataError(
                f"'{img_path}' lies in no folder 'leftImg8bit', so its ground truth in 'gtFine' cannot be "
                'found: use the official folders, or give CityscapesInstanceAP a gt_dir.'
            )
        position = len(parts) - 1 - parts[::-1].index('leftImg8bit')
        folder = Path(*parts[:position], 'gtFine', *parts[position + 1 :])
    else:
        folder = Path(gt_dir, frame.split('_')[0])
    return str(folder / f'{frame}_gtFine_instanceIds.png')
