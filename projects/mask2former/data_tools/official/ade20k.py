"""ADE20K (the 150 classes of ADEChallengeData2016): panoptic and instance files from the official label images."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError
from mask2former.formats.files import write_json
from mask2former.formats.images import check_size
from mask2former.formats.known_metainfo import known_metainfo
from mask2former.formats.panoptic_png import id_of_color, segments_of, write_id_map
from mask2former.formats.rle import instances_of

from .release_files import ONE_RELEASE, image_header, need, read_array, stems

FOLDERS = dict(train='training', val='validation')
TASKS = ('panoptic', 'instance')
PANOPTIC, INSTANCE = known_metainfo('ade20k_panoptic'), known_metainfo('ade20k_instance')
# (150,) id of a class's first segment: its colour, as panopticapi's IdGenerator gives it.
COLOR_IDS = [id_of_color(color) for color in PANOPTIC['palette']]


def convert_ade20k(root: str | Path, splits: Sequence[str], tasks: Sequence[str], num_workers: int) -> list[Path]:
    """Write ``ade20k_{task}_{split}.json``, and for the panoptic task the folder of PNG files beside it.

    Source of the rules: prepare_ade20k_pan_seg.py and prepare_ade20k_ins_seg.py of the reference. Stuff comes from the
    semantic map, things from the instance map, which lies above; pixels of a thing without an instance are void. Unlike
    the reference's, ``area`` and ``bbox`` are those of the PNG file, and stuff wholly under things has no entry.

    Args:
        root: ADEChallengeData2016, with ``images``, ``annotations`` and ``annotations_instance``.
        splits: Of ``FOLDERS``.
        tasks: Of ``TASKS``.
        num_workers: Processes.

    Returns:
        The JSON files.

    Raises:
        MissingFileError: If a folder or a file is absent.
        DataError: If a file is broken, has another size than its image or a value without a meaning.
    """
    root, written = Path(root), []
    for split in splits:
        names = stems(root / 'images' / FOLDERS[split], '.jpg', 'give the folder ADEChallengeData2016')
        need(
            root / 'annotations_instance' / FOLDERS[split],
            'unpack annotations_instance.tar of http://sceneparsing.csail.mit.edu there',
        )
        for task in tasks:
            path = root / f'ade20k_{task}_{split}.json'
            function = partial(dict(panoptic=_panoptic, instance=_instance)[task], root, split)
            with resumable(path.with_suffix('.journal'), num_workers) as convert:
                results = convert(function, dict(zip(names, names)), f'ADE20K {task} {split}')
                write_json(path, _file(task, results.values()))
            written.append(path)
    return written


def _file(task: str, results: Collection[tuple[dict, list[dict]]]) -> dict:
    info = PANOPTIC if task == 'panoptic' else INSTANCE
    categories = [dict(id=id_, name=name) for id_, name in zip(info['category_ids'], info['classes'])]
    if task == 'panoptic':
        for category, thing, color in zip(categories, info['isthing'], info['palette']):
            category.update(isthing=int(thing), color=color)
    annotations = [annotation for _, annotations in results for annotation in annotations]
    if task == 'instance':
        annotations = [dict(id=number, **annotation) for number, annotation in enumerate(annotations, 1)]
    return dict(images=[image for image, _ in results], annotations=annotations, categories=categories)


def _panoptic(root: Path, split: str, name: str) -> tuple[dict, list[dict]]:
    """The entry of an image, and its one annotation; writes the PNG file."""
    image, image_path = _image(root, split, name)
    path = root / 'annotations' / FOLDERS[split] / f'{name}.png'
    semantic = read_array(path, 1)
    check_size(f"'{path}'", semantic.shape, image_path, (image['height'], image['width']), ONE_RELEASE)
    present = np.flatnonzero(np.bincount(semantic.ravel(), minlength=256))
    if present[-1] > 150:
        raise DataError(
            f"'{path}' has the value {present[-1]}, but ADE20K's classes are 1 to 150 and 0 is void; get "
            'the annotations of ADEChallengeData2016.'
        )
    id_of_value, categories = np.zeros(256, dtype=np.int32), {}
    for category in (present[present > 0] - 1).tolist():
        if not PANOPTIC['isthing'][category]:
            id_of_value[category + 1] = COLOR_IDS[category]
            categories[COLOR_IDS[category]] = category
    id_map = id_of_value[semantic]  # (H, W)

    taken = {0, *(id_ for id_, thing in zip(COLOR_IDS, PANOPTIC['isthing']) if not thing)}
    for category, mask in _instances(root, split, name, image, image_path):
        id_ = COLOR_IDS[category]
        while id_ in taken:
            id_ = (id_ + 1) % 2**24
        taken.add(id_)
        categories[id_] = category
        id_map[mask] = id_

    png = f'{name}.png'
    write_id_map(root / f'ade20k_panoptic_{split}' / png, id_map)
    return image, [dict(image_id=name, file_name=png, segments_info=segments_of(id_map, categories))]


def _instance(root: Path, split: str, name: str) -> tuple[dict, list[dict]]:
    """The entry of an image, and the annotations of its instances."""
    image, image_path = _image(root, split, name)
    categories, masks = [], []
    for category, mask in _instances(root, split, name, image, image_path):
        categories.append(category)
        masks.append(mask)
    return image, [dict(image_id=name, **entry) for entry in instances_of(np.array(masks), categories)]


def _image(root: Path, split: str, name: str) -> tuple[dict, Path]:
    path = root / 'images' / FOLDERS[split] / f'{name}.jpg'
    height, width, _ = image_header(path)
    return dict(id=name, file_name=path.name, width=width, height=height), path


def _instances(root: Path, split: str, name: str, image: dict, image_path: Path) -> list[tuple[int, np.ndarray]]:
    """Category id and mask ``(H, W)`` of each instance."""
    path = root / 'annotations_instance' / FOLDERS[split] / f'{name}.png'
    labels = read_array(path, 3)
    check_size(f"'{path}'", labels.shape, image_path, (image['height'], image['width']), ONE_RELEASE)
    classes, ids = labels[..., 0], labels[..., 1]
    instances = []
    for id_ in np.unique(ids[ids > 0]):
        mask = ids == id_
        found = np.unique(classes[mask]).tolist()
        if len(found) > 1 or not 1 <= found[0] <= 100:
            raise DataError(
                f"Instance {id_} in '{path}' has the classes {found}, but it must have one of 1 to 100; "
                'get annotations_instance again.'
            )
        instances.append((INSTANCE['category_ids'][found[0] - 1], mask))
    return instances
