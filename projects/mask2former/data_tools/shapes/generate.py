"""The `shapes` data set: drawn scenes, written to disk in COCO's panoptic and instance formats."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mask2former.errors import ConfigError
from mask2former.formats.files import write_json
from mask2former.formats.images import write_image
from mask2former.formats.panoptic_png import ids_near_colors, write_id_map
from mask2former.formats.rle import areas_of, box_of, encode_masks, json_rle
from mask2former.progress import ProgressBar

from .scene import CATEGORIES, Scene, draw_scene
from .stamped import write_stamped

SPLITS = ('train', 'val')
MIN_SIDE = 32

_STAMP = 'shapes.json'
_VERSION = 1  # raised when the same parameters give other files
_BY_ID = {category['id']: category for category in CATEGORIES}


def generate_shapes(
    out_dir: str | os.PathLike[str],
    *,
    num_train: int,
    num_val: int,
    size: tuple[int, int] = (128, 128),
    seed: int = 0,
    num_workers: int = 1,
) -> bool:
    """Write the `shapes` data set.

    Below ``out_dir``, for each split: the pictures ``SPLIT/000000.jpg``, the panoptic annotation
    ``annotations/panoptic_SPLIT.json`` with its PNGs in ``annotations/panoptic_SPLIT/``, and the instance annotation of
    the things, ``annotations/instances_SPLIT.json``. Every pixel belongs to a segment: there is no void. An image
    depends on the seed, its split, its number and the size alone, not on how many others are written.

    ``shapes.json`` is written last and holds the parameters. Where it is there with the same parameters, and all files
    too, nothing is done; a run that was interrupted has left none, and everything is written again.

    Args:
        out_dir: The folder to write, made if need be.
        num_train: Number of training images, may be 0.
        num_val: Number of validation images, may be 0.
        size: (height, width) of the images in pixels, each at least 32.
        seed: Not negative; other seeds give other images.
        num_workers: Processes that draw; 1 draws in this one.

    Returns:
        Whether anything was written.

    Raises:
        ConfigError: If an argument is out of its range, or ``out_dir`` holds a `shapes` data set with other parameters.
    """
    counts = dict(zip(SPLITS, (num_train, num_val)))
    check_arguments(counts, size, seed, num_workers)
    out_dir = Path(out_dir)
    stamp = dict(version=_VERSION, num_train=num_train, num_val=num_val, size=list(size), seed=seed)

    def write() -> None:
        for split, count in counts.items():
            _write_split(out_dir, split, count, size, seed, num_workers)

    return write_stamped(out_dir / _STAMP, stamp, _expected_files(out_dir, counts), write)


def check_arguments(counts: dict[str, int], size: tuple[int, int], seed: int, num_workers: int) -> None:
    """Raise ``ConfigError`` where an argument of a generator is out of its range."""
    for split, count in counts.items():
        if count < 0:
            raise ConfigError(f'num_{split} is {count}, but it must be 0 or more.')
    if len(size) != 2 or min(size) < MIN_SIDE:
        raise ConfigError(f'size is {tuple(size)}, but it must be (height, width) of at least {MIN_SIDE} pixels each.')
    if seed < 0:
        raise ConfigError(f'seed is {seed}, but it must be 0 or more.')
    if num_workers < 1:
        raise ConfigError(f'num_workers is {num_workers}, but it must be 1 or more.')


def _image_paths(out_dir: Path, split: str, index: int) -> tuple[Path, Path]:
    """The picture and the panoptic PNG of an image."""
    return out_dir / split / f'{index:06d}.jpg', out_dir / 'annotations' / f'panoptic_{split}' / f'{index:06d}.png'


def _json_path(out_dir: Path, kind: str, split: str) -> Path:
    return out_dir / 'annotations' / f'{kind}_{split}.json'


def _expected_files(out_dir: Path, counts: dict[str, int]) -> list[Path]:
    files = [_json_path(out_dir, kind, split) for kind in ('panoptic', 'instances') for split in SPLITS]
    for split, count in counts.items():
        files += [path for index in range(count) for path in _image_paths(out_dir, split, index)]
    return files


def _write_image(out_dir: Path, split: str, size: tuple[int, int], seed: int, index: int) -> list[dict[str, Any]]:
    """Draw an image and write its files; gives its segments."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    scene = draw_scene(rng, size)
    colors = [_BY_ID[category_id]['color'] for category_id in scene.category_ids]
    ids = ids_near_colors(colors, rng, exact=False)
    return _write_scene(scene, ids, *_image_paths(out_dir, split, index))


def _write_split(out_dir: Path, split: str, count: int, size: tuple[int, int], seed: int, num_workers: int) -> None:
    """Write the pictures, PNGs and both JSON files of a split."""
    for folder in (out_dir / split, out_dir / 'annotations' / f'panoptic_{split}'):
        folder.mkdir(parents=True, exist_ok=True)

    draw = partial(_write_image, out_dir, split, size, seed)
    done: Iterator[list[dict[str, Any]]]
    with ExitStack() as stack:
        if num_workers == 1:
            done = map(draw, range(count))
        else:
            # A Ctrl-C is for this process, which then lets nothing more be drawn.
            pool = ProcessPoolExecutor(num_workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
            stack.callback(pool.shutdown, cancel_futures=True)
            done = pool.map(draw, range(count), chunksize=8)
        segments = list(ProgressBar(done, total=count, desc=split))

    images: list[dict] = []
    panoptic: list[dict] = []
    instances: list[dict] = []
    for index, infos in enumerate(segments):
        picture, png = _image_paths(out_dir, split, index)
        image_id = index + 1
        images.append(dict(id=image_id, file_name=picture.name, height=size[0], width=size[1]))
        keys = ('id', 'category_id', 'area', 'bbox', 'iscrowd')
        panoptic.append(
            dict(
                image_id=image_id,
                file_name=png.name,
                segments_info=[{key: info[key] for key in keys} for info in infos],
            )
        )
        for info in infos:
            if _BY_ID[info['category_id']]['isthing']:
                instances.append({**info, 'id': len(instances) + 1, 'image_id': image_id})
    head = dict(info=dict(description=f'shapes {split}, seed {seed}'), licenses=[], images=images)
    things = [
        {key: value for key, value in category.items() if key in ('id', 'name', 'supercategory')}
        for category in CATEGORIES
        if category['isthing']
    ]
    write_json(_json_path(out_dir, 'panoptic', split), {**head, 'annotations': panoptic, 'categories': CATEGORIES})
    write_json(_json_path(out_dir, 'instances', split), {**head, 'annotations': instances, 'categories': things})


def _write_scene(scene: Scene, ids: list[int], picture: Path, png: Path) -> list[dict[str, Any]]:
    """Write a picture and its panoptic PNG.

    Returns:
        Of each segment ``id``, ``category_id``, ``area`` (pixels), ``bbox`` (xywh), ``iscrowd`` and ``segmentation``
        (compressed RLE).
    """
    write_image(picture, scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    write_id_map(png, np.array(ids, np.uint32)[scene.segment_map])
    rles = encode_masks(scene.segment_map == np.arange(len(ids))[:, None, None])  # of (N, H, W)
    return [
        dict(
            id=segment_id,
            category_id=category_id,
            area=area,
            bbox=[int(value) for value in box_of(rle)],
            iscrowd=0,
            segmentation=json_rle(rle),
        )
        for segment_id, category_id, area, rle in zip(ids, scene.category_ids, areas_of(rles), rles)
    ]
