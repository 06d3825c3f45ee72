"""Mapillary Vistas v1.2: checks the official tree, and makes of it what is missing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError, MissingFileError
from mask2former.formats.files import read_json, write_json
from mask2former.formats.images import check_size
from mask2former.formats.known_metainfo import known_metainfo
from mask2former.formats.panoptic_png import segments_of, write_id_map

from .release_files import ONE_RELEASE, image_header, need, read_array, stems

SPLITS = ('training', 'validation')
FOLDERS = ('instances', 'labels', 'panoptic')
INFO = known_metainfo('mapillary_panoptic')
UNLABELED = len(INFO['classes'])  # the last label of config.json


def prepare_mapillary(root: str | Path, splits: Sequence[str], num_workers: int) -> list[str]:
    """Bring the release into the layout of docs/datasets.md.

    The zip file of v2.0 holds v1.2 in folders of its own, to which links are made. Where ``panoptic`` is absent, as in
    the zip file of v1.0, it is made of ``instances``: segments are the things' instances and each stuff class.

    Args:
        root: The folder with ``training`` and ``validation``.
        splits: Of ``SPLITS``.
        num_workers: Processes.

    Returns:
        A line on each split.

    Raises:
        MissingFileError: If a folder or a file is absent.
        DataError: If the labels are not those of v1.2, or a file is broken.
    """
    root, lines = Path(root), []
    for split in splits:
        folder = root / split
        names = stems(folder / 'images', '.jpg', 'give the folder of the unpacked release')
        for kind in FOLDERS:
            if not (folder / kind).exists() and (folder / 'v1.2' / kind).is_dir():
                (folder / kind).symlink_to(Path('v1.2') / kind, target_is_directory=True)
        _check(folder, 'labels', names)
        path = folder / 'panoptic' / 'panoptic_2018.json'
        if path.is_file():
            _check(folder, 'panoptic', names)
            lines.append(f'{folder}: {len(names)} images with labels and panoptic files; nothing to convert.')
            continue
        _check(folder, 'instances', names)
        _check_config(root)
        rows = zip(*(INFO[key] for key in ('category_ids', 'classes', 'isthing', 'palette')))
        categories = [dict(id=id_, name=name, isthing=int(thing), color=color) for id_, name, thing, color in rows]
        with resumable(folder / 'panoptic.journal', num_workers) as convert:
            results = convert(partial(_convert, folder), dict(zip(names, names)), f'Mapillary {split}')
            images, annotations = zip(*results.values())
            write_json(path, dict(images=images, categories=categories, annotations=annotations))
        lines.append(f'{path}: {len(names)} images, made of {folder / "instances"}.')
    return lines


def _check(folder: Path, kind: str, names: list[str]) -> None:
    """Raise ``FileNotFoundError`` where an image has no PNG file of this kind."""
    absent = sorted(set(names) - set(stems(folder / kind, '.png', 'unpack the release completely')))
    if absent:
        raise MissingFileError(
            f"{len(absent)} of {len(names)} images have no file in '{folder / kind}', the first is "
            f'{absent[0]}.png; unpack the release completely.'
        )


def _check_config(root: Path) -> None:
    """Check that the labels of the PNG files are those of v1.2: v2.0 has others."""
    path = root / 'config_v1.2.json'
    path = path if path.is_file() else need(root / 'config.json', 'it is part of the release and says what labels are')
    names = [label.get('readable') for label in read_json(str(path)).get('labels', [])]
    if names[:UNLABELED] != list(INFO['classes']) or len(names) != UNLABELED + 1:
        raise DataError(f"'{path}' has not the {UNLABELED + 1} labels of Mapillary Vistas v1.2; get that version.")


def _convert(folder: Path, name: str) -> tuple[dict, dict]:
    """The entry of an image and its annotation; writes the PNG file."""
    image_path, path = folder / 'images' / f'{name}.jpg', folder / 'instances' / f'{name}.png'
    height, width, _ = image_header(image_path)
    values = read_array(path, 1).astype(np.int32)  # (H, W), 256 * label + number of the instance
    check_size(f"'{path}'", values.shape, image_path, (height, width), ONE_RELEASE)
    labels = values // 256
    if labels.max() > UNLABELED:
        raise DataError(f"'{path}' has the label {labels.max()}, but v1.2 has 0 to {UNLABELED}; get that version.")
    things = np.array([*INFO['isthing'], False])
    ids = np.where(things[labels], values, labels * 256) + 1  # an instance's number may be 0
    ids[labels == UNLABELED] = 0
    categories = {int(id_): INFO['category_ids'][(id_ - 1) // 256] for id_ in np.unique(ids[ids > 0])}
    write_id_map(folder / 'panoptic' / f'{name}.png', ids)
    image = dict(id=name, file_name=image_path.name, width=width, height=height)
    return image, dict(image_id=name, file_name=f'{name}.png', segments_info=segments_of(ids, categories))
