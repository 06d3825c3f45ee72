"""Cityscapes' panoptic files, written by cityscapesscripts, but in parallel and image by image."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError, MissingFileError, MissingPackageError
from mask2former.formats.files import write_bytes, write_json

from .release_files import need, read_array

SPLITS = ('train', 'val')
SUFFIX = '_gtFine_instanceIds.png'


def convert_cityscapes(root: str | Path, splits: Sequence[str], num_workers: int) -> list[Path]:
    """Write ``gtFine/cityscapes_panoptic_{split}.json`` and the folder of PNG files beside it.

    Each image goes through ``convert2panoptic`` of cityscapesscripts, which knows the rules.

    Args:
        root: The folder with ``gtFine``.
        splits: Of ``SPLITS``.
        num_workers: Processes.

    Returns:
        The JSON files.

    Raises:
        MissingFileError: If a folder or a file is absent.
        MissingPackageError: If cityscapesscripts is not installed.
        DataError: If a file is broken or has an id that Cityscapes does not know.
    """
    _load_script()
    root, written = Path(root) / 'gtFine', []
    for split in splits:
        folder = need(root / split, 'unpack gtFine_trainvaltest.zip of https://www.cityscapes-dataset.com there')
        paths = sorted(folder.glob(f'*/[!.]*{SUFFIX}'))
        if not paths:
            raise MissingFileError(f"'{folder}' has no CITY/*{SUFFIX}; unpack gtFine_trainvaltest.zip completely.")
        path = root / f'cityscapes_panoptic_{split}.json'
        items = {file.name.removesuffix(SUFFIX): file for file in paths}
        with resumable(path.with_suffix('.journal'), num_workers) as convert:
            results = list(convert(partial(_convert, split), items, f'Cityscapes {split}').values())
            content = dict(results[0])
            for key in ('images', 'annotations'):
                content[key] = [entry for result in results for entry in result[key]]
            write_json(path, content)
        written.append(path)
    return written


def _load_script() -> Callable[..., None]:
    try:
        from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic
    except ImportError as error:
        raise MissingPackageError(f"'{error.name}' is missing; run `pip install cityscapesscripts`.") from None
    return convert2panoptic


def _convert(split: str, path: Path) -> dict:
    """The content of the JSON file for one image; its PNG file is written.

    The script works on a tree, so it gets one of a single image in a temporary folder.
    """
    read_array(path, 1)  # says what is wrong with a file that cannot be read
    with tempfile.TemporaryDirectory() as folder:
        city = Path(folder) / split / path.parent.name
        city.mkdir(parents=True)
        (city / path.name).write_bytes(path.read_bytes())
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                _load_script()(cityscapesPath=folder, outputFolder=folder, setNames=[split])
        except KeyError as error:
            raise DataError(
                f"'{path}' has the label id {error}, which Cityscapes has not; get gtFine again."
            ) from error
        name = f'cityscapes_panoptic_{split}'
        content = json.loads((Path(folder) / f'{name}.json').read_text())
        [png] = (Path(folder) / name).iterdir()
        write_bytes(path.parents[2] / name / png.name, png.read_bytes())
    return content
