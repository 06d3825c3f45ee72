"""What the configs do otherwise than the reference, on purpose."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from mask2former.datasets.transforms import LargeScaleJitter

BASE = Path(__file__).parents[1] / 'configs/_base_'


def test_the_last_step_of_the_polynomial_decay_has_the_rate_0():
    """``1 - t / (T - 1)`` in place of ``1 - t / T``: at most 4e-5 of the base rate apart in 90,000 steps."""
    scheduler = Config.fromfile(BASE / 'schedules/adamw_poly_90k.py').param_scheduler
    assert (scheduler.type, scheduler.power, scheduler.end) == ('PolyLR', 0.9, 90000)
    steps = 300
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    poly = PARAM_SCHEDULERS.build(dict(scheduler, end=steps, optimizer=OptimWrapper(optimizer)))
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        poly.step()
    np.testing.assert_allclose(rates, (1 - np.arange(steps) / (steps - 1)) ** 0.9, rtol=1e-9, atol=1e-12)
    assert rates[-1] == 0
    t, end = np.arange(90000), 90000
    assert np.abs((1 - t / (end - 1)) ** 0.9 - (1 - t / end) ** 0.9).max() < 4e-5


@pytest.mark.parametrize('task', ['panoptic', 'instance'])
def test_images_without_a_segment_are_left_out_and_any_two_make_a_batch(task):
    """The reference keeps such images in panoptic data, and puts wide images with wide ones."""
    loader = Config.fromfile(BASE / f'tasks/{task}.py').train_dataloader
    assert loader.dataset.filter_cfg == dict(filter_empty_gt=True)
    assert loader.sampler == dict(type='InfiniteSampler', shuffle=True) and 'batch_sampler' not in loader


def test_the_jitter_pads_with_imagenet_s_mean():
    """Near zero after normalisation, as padding is at test time; the reference pads with 128."""
    jitter = Config.fromfile(BASE / 'augmentations/jitter_1024.py').jitter_1024[-1]
    assert jitter.pop('type') == 'LargeScaleJitter'
    pad = np.array(LargeScaleJitter(**jitter).pad_val[::-1])  # BGR to RGB
    assert np.abs((pad - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)).max() < 0.01
    assert LargeScaleJitter(**jitter, pad_val=(128, 128, 128)).pad_val == (128, 128, 128)


@pytest.mark.parametrize('name', [path.stem for path in (BASE / 'augmentations').glob('crop_*.py')])
def test_training_images_are_made_smaller_by_opencv(name):
    """Pillow, which filters, takes about ten times as long."""
    [steps] = [
        steps for key, steps in Config.fromfile(BASE / f'augmentations/{name}.py').items() if key.startswith('crop')
    ]
    [resize] = [step for step in steps if 'Resize' in step.type]
    assert resize.get('backend', 'cv2') == 'cv2'
