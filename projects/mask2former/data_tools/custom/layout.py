"""Writes custom data in the layout that the README describes, whatever form the annotations had.

::

    OUT/{train,val}/*.jpg|png
    OUT/annotations/panoptic_{train,val}.json    panoptic_{train,val}/*.png
    OUT/annotations/instances_{train,val}.json   where there are things
"""

import argparse
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError
from mask2former.formats.files import link_or_copy, write_bytes, write_json
from mask2former.formats.panoptic_png import write_id_map

from .classes import add_class, id_of, with_colors
from .scene import Scene, instances_of_layers, paint
from .splits import assign_splits, output_names


@dataclass(frozen=True)
class Sample:
    """An image that is to be converted.

    Attributes:
        image_id: Its id in the JSON files.
        name: Its file name below the folder of the split, with slashes.
        split: `train` or `val`.
        source: What the reader gets.
        files: Those it is made of; where one has changed, the image is converted again.
    """

    image_id: int
    name: str
    split: str
    source: Any
    files: tuple[Path, ...]


def make_samples(
    args: argparse.Namespace,
    paths: Sequence[Path],
    root: Path,
    sources: Sequence[Any],
    files: Sequence[Sequence[Path]],
    image_ids: Sequence[int] | None = None,
) -> list[Sample]:
    """The samples of the images ``paths`` below ``root``, split as the flags say; ids count from 1 if none are given.

    Raises:
        DataError: If the folder to write lies inside the one that is read.
    """
    if root.resolve() in (args.out.resolve(), *args.out.resolve().parents):
        raise DataError(f"The folder to write, '{args.out}', lies in '{root}', which is read; choose another.")
    names = output_names(paths, root)
    splits = assign_splits(names, val_share=args.val_share, seed=args.seed, val_list=args.val_list, split=args.split)
    image_ids = range(1, len(names) + 1) if image_ids is None else image_ids
    return [Sample(*row) for row in zip(image_ids, names, splits, sources, map(tuple, files))]


def write_layout(
    samples: Sequence[Sample],
    read: Callable[[Any, Any], Scene],
    meaning: Any,
    classes: Sequence[dict],
    out: str | Path,
    *,
    background: str | None = None,
    copy: bool = False,
    jobs: int = 1,
) -> str:
    """Convert all images and write the JSON files, which are there only if everything is.

    Args:
        samples: The images.
        read: Reads a sample's ``source``; gets it and ``meaning``. Importable, as other processes call it.
        meaning: What holds for all samples; its ``repr`` says all of it.
        classes: ``id, name, isthing`` of each class, and its ``color`` where it is chosen.
        out: The folder to write.
        background: Stuff class of the pixels that no layer has, which is added if need be; None leaves them void.
        copy: Whether to copy the images; they are linked else.
        jobs: Processes.

    Returns:
        What was written, for people.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file is not as it must be; the message names it.
    """
    out = Path(out)
    if background:
        classes = add_class(classes, background, isthing=False)
    categories, background_id = with_colors(classes), id_of(classes, background) if background else None
    splits = [split for split in ('train', 'val') if any(sample.split == split for sample in samples)]
    _check_other_split(out, splits, categories)
    function = functools.partial(
        _convert,
        read=read,
        meaning=meaning,
        categories={category['id']: category for category in categories},
        out=out,
        background=background_id,
        copy=copy,
    )
    journal = out / 'annotations' / f'.conversion_{"_".join(splits)}.jsonl'
    settings = repr((read.__qualname__, meaning, categories, background_id, copy))
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
    target = out / sample.split / sample.name
    if isinstance(scene.image, bytes):
        write_bytes(target, scene.image)
    else:
        link_or_copy(scene.image, target, copy)
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
