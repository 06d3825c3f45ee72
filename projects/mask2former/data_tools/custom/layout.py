"""Writes one's own data in the layout that the README describes, whatever form the annotations had.

::

    OUT/{train,val}/*.jpg|png
    OUT/annotations/panoptic_{train,val}.json    panoptic_{train,val}/*.png
    OUT/annotations/instances_{train,val}.json   where there are things
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError
from mask2former.formats.files import write_json
from mask2former.formats.panoptic_png import write_id_map

from .scene import Scene, instances_of_layers, paint
from .splits import place_image


@dataclass(frozen=True)
class Sample:
    """An image that is to be converted.

    Attributes:
        image_id (int): Its id in the JSON files.
        name (str): Its file name below the folder of the split, with slashes.
        split (str): `train` or `val`.
        source (Any): What the reader gets.
        files (tuple[Path, ...]): Those it is made of; where one has changed, the image is converted again.
    """

    image_id: int
    name: str
    split: str
    source: Any
    files: tuple[Path, ...]


def write_layout(
    samples: Sequence[Sample],
    read: Callable[[Any, Any], Scene],
    meaning: Any,
    categories: Sequence[dict],
    out: str | Path,
    *,
    background: int | None = None,
    copy: bool = False,
    jobs: int = 1,
) -> str:
    """Convert all images and write the JSON files, which are there only if everything is.

    Args:
        samples (Sequence[Sample]): The images.
        read (Callable): Reads a sample's ``source``; gets it and ``meaning``. Importable, as other processes call it.
        meaning (Any): What holds for all samples; its ``repr`` says all of it.
        categories (Sequence[dict]): ``id, name, isthing, color`` of each class.
        out (str | Path): The folder to write.
        background (int, optional): Category of the pixels that no layer has; None leaves them void.
        copy (bool): Whether to copy the images; they are linked else.
        jobs (int): Processes.

    Returns:
        str: What was written, for people.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file is not as it must be; the message names it.
    """
    out = Path(out)
    splits = [split for split in ('train', 'val') if any(sample.split == split for sample in samples)]
    _check_other_split(out, splits, categories)
    function = functools.partial(
        _convert,
        read=read,
        meaning=meaning,
        categories={category['id']: category for category in categories},
        out=out,
        background=background,
        copy=copy,
    )
    journal = out / 'annotations' / f'.conversion_{"_".join(splits)}.jsonl'
    settings = repr((read.__qualname__, meaning, categories, background, copy))
    keys = [f'{sample.split}/{sample.name} {_version(sample, settings)}' for sample in samples]
    with resumable(journal, jobs) as convert:
        results = convert(function, dict(zip(keys, samples)), 'images')
        lines = []
        for split in splits:
            rows = [(sample, results[key]) for sample, key in zip(samples, keys) if sample.split == split]
            lines.append(_write_split(out, split, categories, rows))
    for kind, count in (
        (
            'are wholly covered by others: they are in the instance files only',
            sum(result['covered'] for result in results.values()),
        ),
        ('have no area (points, lines) and were left out', sum(result['left_out'] for result in results.values())),
    ):
        if count:
            lines.append(f'{count} annotations {kind}.')
    return '\n'.join(lines)


def _convert(
    sample: Sample,
    *,
    read: Callable[[Any, Any], Scene],
    meaning: Any,
    categories: Mapping[int, dict],
    out: Path,
    background: int | None,
    copy: bool,
) -> dict:
    """Write the PNG file and the image of a sample, and return what the JSON files say of it."""
    scene = read(sample.source, meaning)
    id_map, segments, covered = paint(scene, categories, background)
    instances = scene.instances if scene.instances is not None else instances_of_layers(scene, categories)
    write_id_map(out / 'annotations' / f'panoptic_{sample.split}' / Path(sample.name).with_suffix('.png'), id_map)
    place_image(scene.image, out / sample.split / sample.name, copy)
    return dict(size=scene.size, segments=segments, instances=instances, covered=covered, left_out=scene.left_out)


def _write_split(out: Path, split: str, categories: Sequence[dict], results: Sequence[tuple[Sample, dict]]) -> str:
    images, panoptic, instances = [], [], []
    for sample, result in results:
        height, width = result['size']
        images.append(dict(id=sample.image_id, file_name=sample.name, height=height, width=width))
        png = Path(sample.name).with_suffix('.png').as_posix()
        panoptic.append(dict(image_id=sample.image_id, file_name=png, segments_info=result['segments']))
        instances += [dict(image_id=sample.image_id, **instance) for instance in result['instances']]
    things = [category for category in categories if category['isthing']]
    folder = out / 'annotations'
    if things:
        numbered = [{'id': number, **instance} for number, instance in enumerate(instances, 1)]
        write_json(folder / f'instances_{split}.json', dict(images=images, annotations=numbered, categories=things))
    path = folder / f'panoptic_{split}.json'
    write_json(path, dict(images=images, annotations=panoptic, categories=list(categories)))
    segments = sum(len(annotation['segments_info']) for annotation in panoptic)
    return f'{path}: {len(images)} images, {len(categories)} classes, {segments} segments, {len(instances)} things.'


def _version(sample: Sample, settings: str) -> str:
    """Changes with what the conversion of a sample depends on."""
    text = repr((settings, sample.source))
    for path in sample.files:
        if path.is_file():
            stat = path.stat()
            text += f' {path} {stat.st_size} {stat.st_mtime_ns}'
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_other_split(out: Path, splits: Sequence[str], categories: Sequence[dict]) -> None:
    """Training and validation need the same classes; where the other split is there already, say so at once."""
    for split in {'train', 'val'} - set(splits):
        path = out / 'annotations' / f'panoptic_{split}.json'
        if path.is_file():
            there = [category['name'] for category in json.loads(path.read_text(encoding='utf-8'))['categories']]
            here = [category['name'] for category in categories]
            if there != here:
                raise DataError(
                    f"'{path}' has the classes {there}, but this split has {here}; name all classes in both runs."
                )
