"""What the tests of the converters for custom data share."""

import contextlib
import io
import runpy
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.registry import DATASETS, TRANSFORMS

TOOLS = Path(__file__).resolve().parents[3] / 'tools' / 'dataset_converters'


def run(tool, *arguments):
    """Run a tool in this process and return what it prints; what ends it is raised."""
    before, sys.argv = sys.argv, [tool, *map(str, arguments)]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(TOOLS / f'{tool}.py'), run_name='__main__')
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
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def boxes(size, **values):
    """A map (H, W) of zeros with rectangles: ``_7=(top, left, bottom, right)`` is 7 there; later ones lie on top."""
    result = np.zeros(size, np.uint16)
    for value, (top, left, bottom, right) in values.items():
        result[top:bottom, left:right] = int(value[1:])
    return result


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
