"""What the tests of the converters share."""

import contextlib
import io
import runpy
import sys
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from mask2former.registry import DATASETS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[2]


def run(tool, *arguments):
    """Run a tool in this process and return what it prints; what ends it is raised."""
    before, sys.argv = sys.argv, [tool, *map(str, arguments)]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(ROOT / 'tools' / 'dataset_converters' / f'{tool}.py'), run_name='__main__')
    finally:
        sys.argv = before
    return printed.getvalue()


def failure(tool, *arguments):
    """The sentence that a tool ends with."""
    try:
        run(tool, *arguments)
    except SystemExit as error:
        sentence = str(error)
        assert sentence.startswith('Error: ') and '\n' not in sentence, sentence
        return sentence
    raise AssertionError(f'{tool} found no fault')


def picture(path, size=(20, 30), seed=0, **options):
    """Write a random picture of the size (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(array).save(path, **options)
    return array


def save(path, array):
    """Write an image in the format of its name; PNG keeps the array's type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def boxes(size, **values):
    """A map (H, W) of zeros with rectangles: ``_7=(top, left, bottom, right)`` is 7 there; later ones lie on top."""
    result = np.zeros(size, np.uint16)
    for value, (top, left, bottom, right) in values.items():
        result[top:bottom, left:right] = int(value[1:])
    return result


def blocks(rng: np.random.Generator, size: tuple[int, int], values: list[int], dtype: type = np.uint8) -> np.ndarray:
    """``(H, W)`` of 4 x 4 blocks, each of one of the values; each value occurs."""
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    cells = rng.choice(values, height * width)
    cells[rng.permutation(height * width)[: len(values)]] = values
    return np.kron(cells.reshape(height, width), np.ones((4, 4))).astype(dtype)[: size[0], : size[1]]


def times(folder: Path) -> dict[Path, int]:
    """When each file of a folder was written: a file whose time has not changed was not written again."""
    return {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def load(config: str, split: str, data_root: Path, **settings):
    """The data set of a base config, with ``data_root`` and ``settings`` instead of its own; no random transforms."""
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{config}.py')[f'{split}_dataloader'].dataset
    loaders = [TRANSFORMS.build(step) for step in cfg.pipeline if step['type'].startswith('Load')]
    return DATASETS.build({**cfg, 'data_root': f'{data_root}/', 'pipeline': loaders, **settings})


def steps(*names):
    return [TRANSFORMS.build(dict(type=name)) for name in names]


def panoptic(out, split):
    """The panoptic data set that a converter wrote, read with the pipeline of evaluation."""
    return DATASETS.build(
        dict(
            type='CocoPanopticFormat',
            data_root=str(out),
            ann_file=f'annotations/panoptic_{split}.json',
            data_prefix=dict(img=f'{split}/', seg=f'annotations/panoptic_{split}/'),
            test_mode=True,
            pipeline=steps('LoadImage', 'LoadPanopticGroundTruth'),
        )
    )


def instance(out, split):
    """The instance data set that a converter wrote, read with the pipeline of training."""
    return DATASETS.build(
        dict(
            type='CocoInstanceFormat',
            data_root=str(out),
            ann_file=f'annotations/instances_{split}.json',
            data_prefix=dict(img=f'{split}/'),
            pipeline=steps('LoadImage', 'LoadInstanceSegments'),
        )
    )


def segments(out, split):
    """By image name: the class name, the mask (H, W) bool and iscrowd of every segment, and the mask of void."""
    dataset = panoptic(out, split)
    result = {}
    for item in dataset:
        truth = item['gt_panoptic_seg']
        ids = truth.id_map[0].numpy()
        rows = [
            (dataset.metainfo['classes'][info['label']], ids == info['id'], info['iscrowd'])
            for info in truth.segments_info
        ]
        result[Path(item['img_path']).name] = rows, ids == 0
    return result


def same(found, expected):
    """Whether segments are those expected (class name, mask, iscrowd), in any order."""

    def sort(rows):
        return sorted((name, mask.tobytes(), int(crowd)) for name, mask, crowd in rows)

    return sort(found) == sort(expected)
