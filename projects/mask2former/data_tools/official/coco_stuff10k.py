"""COCO-Stuff-10k: class-id PNG files from its MATLAB files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError, MissingPackageError
from mask2former.formats.files import inside, link_or_copy
from mask2former.formats.images import check_size, write_image
from mask2former.formats.known_metainfo import known_metainfo

from .release_files import ONE_RELEASE, image_header, need

SPLITS = ('train', 'test')
VOID = 255
# Values of v1.0: 1 is void, 2 to 172 the classes. Of v1.1: 0 is void, COCO's ids for things, 92 to 182 for stuff.
FIRST = {value: value - 2 for value in range(2, 173)} | {1: VOID}
THINGS = known_metainfo('coco_instance')['category_ids']
SECOND = {value: index for index, value in enumerate((*THINGS, *range(92, 183)))} | {0: VOID}


def convert_coco_stuff10k(root: str | Path, splits: Sequence[str], num_workers: int) -> list[Path]:
    """Write ``annotations_detectron2`` (PNG of 0 to 170, 255 is void) and ``images_detectron2`` (links).

    Source of the rules: prepare_coco_stuff_10k_v1.0_sem_seg.py of MaskFormer for v1.0. The classes of v1.1 are the same
    in the same order, only their numbers differ.

    Args:
        root: The unpacked release, with ``images``, ``annotations`` and ``imageLists``.
        splits: Of ``SPLITS``.
        num_workers: Processes.

    Returns:
        The folders of PNG files.

    Raises:
        MissingFileError: If a folder or a file is absent.
        DataError: If a file is broken, has another size than its image or a value without a meaning, or a name in
            ``imageLists`` leads out of the folders.
        MissingPackageError: If a file is of v1.0 and h5py, which reads that, is not installed.
    """
    root, written = Path(root), []
    for split in splits:
        text = need(root / 'imageLists' / f'{split}.txt', 'unpack the release there').read_text(encoding='utf-8')
        names = list(filter(None, map(str.strip, text.splitlines())))
        for name in names:
            inside(root, name)
        with resumable(root / f'annotations_detectron2_{split}.journal', num_workers) as convert:
            convert(partial(_convert, root, split), dict(zip(names, names)), f'COCO-Stuff-10k {split}')
        written.append(root / 'annotations_detectron2' / split)
    return written


def _convert(root: Path, split: str, name: str) -> None:
    image_path, path = root / 'images' / f'{name}.jpg', root / 'annotations' / f'{name}.mat'
    height, width, _ = image_header(image_path)
    values, is_first = _read(need(path, 'unpack the release completely'))
    check_size(f"'{path}'", values.shape, image_path, (height, width), ONE_RELEASE)
    meaning = FIRST if is_first else SECOND
    unknown = np.setdiff1d(values, list(meaning))
    if unknown.size:
        raise DataError(
            f"'{path}' has the values {unknown[:8].tolist()}, which are no class of COCO-Stuff-10k "
            f'v1.{int(not is_first)}; get the file again.'
        )
    table = np.zeros(256, dtype=np.uint8)
    table[list(meaning)] = list(meaning.values())
    link_or_copy(image_path, root / 'images_detectron2' / split / image_path.name)
    write_image(root / 'annotations_detectron2' / split / f'{name}.png', table[values])


def _read(path: Path) -> tuple[np.ndarray, bool]:
    """The label map ``(H, W)`` of a file, and whether it is of v1.0: that is HDF5, or says it has 172 classes."""
    try:
        from scipy.io import loadmat

        content = loadmat(path, variable_names=['S', 'names'])
    except NotImplementedError:  # how scipy says that a file is HDF5
        return _read_hdf5(path), True
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as a MATLAB file ({error}); get it again.") from error
    if 'S' not in content:
        raise DataError(f"'{path}' has no label map 'S'; get the file again.")
    return content['S'].astype(np.int64), 'names' in content and content['names'].size == len(FIRST)


def _read_hdf5(path: Path) -> np.ndarray:
    try:
        import h5py
    except ImportError:
        raise MissingPackageError(
            f"'{path}' is of COCO-Stuff-10k v1.0, in HDF5; run `pip install h5py`, or get v1.1."
        ) from None
    try:
        with h5py.File(path) as file:
            return file['S'][()].T.astype(np.int64)  # MATLAB stores columns
    except (OSError, KeyError) as error:
        raise DataError(f"'{path}' cannot be read as a MATLAB file ({error}); get it again.") from error
