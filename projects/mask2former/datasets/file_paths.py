"""Where the files are that an annotation file names: below the data set's folder, unless the config says otherwise."""

import os
from typing import Protocol

from mmengine.fileio import join_path

from mask2former.errors import DataError
from mask2former.formats.files import file_below, leaves_folder


class HasFolders(Protocol):
    """What a data set says of its files, paths joined as mmengine's ``BaseDataset`` does it."""

    ann_file: str
    data_root: str
    data_prefix: dict
    allow_outside_root: bool


def file_path(dataset: HasFolders, key: str, name: str) -> str:
    """The path of a file that the annotation file names.

    Args:
        dataset: The data set.
        key: That of the folder in ``data_prefix``.
        name: As the annotation file has it.

    Raises:
        DataError: If it lies outside of the data set's folder, and ``allow_outside_root`` is false.
    """
    folder = dataset.data_prefix[key]
    if '://' in folder and not leaves_folder(name):
        return join_path(folder, name)  # on a server; mmengine looks for its backend anew each time
    if dataset.allow_outside_root:
        return os.path.join(folder, name)
    try:
        return file_below(folder, name, dataset.data_root)
    except DataError:
        raise DataError(
            f"'{dataset.ann_file}' names the file '{name}', which is outside of the data set's folder "
            f"'{dataset.data_root or folder or '.'}'; correct it, or set allow_outside_root=True in the data set if "
            'you trust the annotation file.'
        ) from None
