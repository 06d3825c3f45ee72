"""Reads the folders of a semantic split: which images and which class-id PNG files there are."""

import os
from collections import Counter
from pathlib import Path

from mask2former.datasets.file_paths import file_path
from mask2former.datasets.semantic_png import SemanticPngFormat, files_below
from mask2former.errors import DataError, MissingFileError
from mask2former.formats.files import read_json

from .kinds import Problems
from .source import Entry, Settings, Source


def read_semantic(dataset: SemanticPngFormat, settings: Settings) -> Source:
    """Read the split of a data set that was built with ``lazy_init=True``.

    Raises:
        MissingFileError: A folder or the annotation file is absent.
        DataError: The annotation file is malformed.
    """
    info, folders, suffix, problems = dataset.metainfo, dict(dataset.data_prefix), dataset.seg_map_suffix, Problems()
    images = list(dataset.image_names())
    for stem, count in Counter(stem for stem, _ in images).items():
        if count > 1:
            problems.add('file listed twice', stem, f'{count} images are called {stem}: only the last is used')
    maps = set(files_below(folders['seg'])) if os.path.isdir(folders['seg']) else None
    if maps is None and not dataset.test_mode:
        raise MissingFileError(f"Folder '{folders['seg']}' does not exist; check data_root and data_prefix['seg'].")
    entries = {}
    for stem, end in dict(images).items():
        try:
            entry = Entry(dict(id=stem, file_name=stem + end), file_path(dataset, 'img', stem + end))
        except DataError as error:
            problems.add('outside the root', stem, str(error))
            continue
        if maps is not None:
            entry.map_path = str(Path(folders['seg']) / (stem + suffix))
        entries[stem] = entry
    if not entries:
        text = (
            f'{folders["img"]} has no image that ends with {" or ".join(dataset.img_suffix)}: '
            "check data_prefix['img'] and img_suffix"
        )
        problems.add('malformed entry', None, text)
    # A list chooses images on purpose; then a map more than images is no fault.
    for name in sorted(maps or ()) if not dataset.lists_images else ():
        if name.endswith(suffix) and name.removesuffix(suffix) not in entries:
            problems.add('map without image', None, f'{Path(folders["seg"]) / name} belongs to no image')
    return Source(
        settings,
        dataset.form,
        dataset.ann_file,
        folders,
        categories={
            label: dict(name=name, isthing=isthing)
            for label, (name, isthing) in enumerate(zip(info['classes'], info['isthing']))
        },
        learnt=frozenset(range(len(info['classes']))),
        entries=entries,
        problems=tuple(problems),
        raw=read_json(dataset.ann_file) if dataset.ann_file.endswith('.json') else {},
        label_table=dataset.label_table,
    )
