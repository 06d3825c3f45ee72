"""The tool that compares our training pipeline with mmdet's: what it compares is equal, and it notices if it is not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.data_pipeline import build, check_equal
from mask2former.data_tools.shapes import generate_shapes
from mask2former.errors import DataError

ROOT = Path(__file__).parents[2]
CONFIG = f"""
_base_ = '{ROOT / 'configs/_base_/datasets/coco_panoptic.py'}'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=(96, 96), ratio_range=(0.5, 2.0)),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='CocoPanopticFormat',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        pipeline=train_pipeline))
"""


@pytest.fixture(scope='module')
def arguments(tmp_path_factory) -> tuple[str, str]:
    """A config and its data: six images of 48 x 64."""
    root = tmp_path_factory.mktemp('data')
    generate_shapes(root / 'shapes', num_train=6, num_val=0, size=(48, 64))
    (root / 'config.py').write_text(CONFIG)
    return str(root / 'config.py'), str(root / 'shapes')


@pytest.mark.slow
def test_command_line(arguments, tmp_path):
    config, data_root = arguments
    command = [
        sys.executable,
        '-m',
        'benchmarks.data_pipeline',
        config,
        '--data-root',
        data_root,
        '--samples',
        '4',
        '--repeats',
        '1',
        '--workers',
        '0',
        '1',
        '--json',
        str(tmp_path / 'figures.json'),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '4 images: equal pixels and segments' in done.stdout
    report = json.loads((tmp_path / 'figures.json').read_text())
    assert report['images'] == report['checked'] == 4
    for name in ('samples, this process', 'batches, this process', 'samples, 1 workers'):
        row = report[name]
        assert row['ratio'] == pytest.approx(row['ours']['median'] / row['mmdet']['median'])
        for side in ('ours', 'mmdet'):
            assert 0 < row[side]['min'] <= row[side]['median'] <= row[side]['max']
            assert report[f'{side}: ms']['data preprocessor'] > 0
    assert report['ours: bytes'] > 4 * 96 * 96
    assert list(report['ours: ms'])[1:-1] == [
        'LoadImage',
        'LoadPanopticSegments',
        'RandomFlip',
        'LargeScaleJitter',
        'PackSegInputs',
    ]


def test_both_sides_augment_alike(arguments):
    sides = build(*arguments, None)
    flips = set()
    for ours, theirs in zip(sides['ours'].samples(), sides['mmdet'].samples()):
        sample, other = ours['data_samples'], theirs['data_samples']
        assert Path(sample.img_path) == Path(other.img_path)
        assert sample.flip == other.flip and sample.scale_factor == other.scale_factor
        height, width = other.img_shape[:2]
        difference = ours['inputs'][:, :height, :width].float() - theirs['inputs']
        assert difference.abs().mean() < 0.6, 'mmdet resizes float images: it does not round'
        flips.add(sample.flip)
        images = [
            side.to_batch(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))[0]
            for side, packed in zip(sides.values(), (ours, theirs))
        ]
        assert images[0].shape == images[1].shape == (1, 3, 96, 96) and images[0].dtype == torch.float32
    assert flips == {True, False}


def test_unequal_pipelines_are_noticed(arguments):
    def sides() -> dict:
        return build(*arguments, None, plain=True)

    assert check_equal(sides()) == 6
    broken = sides()
    jitter = broken['ours'].dataset.pipeline.transforms[3]
    transform = jitter.transform
    jitter.transform = lambda results: transform({**results, 'img': np.roll(results['img'], 1, axis=1)})
    with pytest.raises(DataError, match='different pixels'):
        check_equal(broken)
    broken = sides()
    to_batch = broken['ours'].to_batch
    broken['ours'].to_batch = lambda data: (None, [(labels, ~masks) for labels, masks in to_batch(data)[1]])
    with pytest.raises(DataError, match='different segments'):
        check_equal(broken)


def test_config_without_large_scale_jitter(arguments):
    with pytest.raises(DataError, match='coco_panoptic_overfit.py.* has no LargeScaleJitter'):
        build(str(ROOT / 'configs/_base_/datasets/coco_panoptic_overfit.py'), arguments[1], None)
