"""What the configs set as the reference does, and where they differ from it on purpose (docs/correctness.md)."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import PolyLR

ROOT = Path(__file__).resolve().parents[1]
BASES = ROOT / 'configs' / '_base_'
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))


@cache
def base(name):
    return Config.fromfile(BASES / f'{name}.py')


def configs_with(pattern):
    """The configs, relative to configs/, with a line that has the pattern."""
    return {
        path.relative_to(ROOT / 'configs').as_posix()
        for path in CONFIGS
        if re.search(pattern, path.read_text(encoding='utf-8'))
    }


def test_weights_of_costs_and_losses():
    criterion = base('models/mask2former_r50').model.criterion
    matcher = criterion.matcher
    assert (matcher.class_cost, matcher.mask_cost, matcher.dice_cost) == (2.0, 5.0, 5.0)
    assert (criterion.class_weight, criterion.mask_weight, criterion.dice_weight) == (2.0, 5.0, 5.0)
    assert criterion.no_object_weight == 0.1
    assert configs_with(r'_cost\b|(class|mask|dice|object)_weight') == {'_base_/models/mask2former_r50.py'}


def test_no_config_swaps_colour_channels():
    assert not configs_with('PhotoMetric|RandomChannel|ChannelShuffle')
    crops = {f'_base_/augmentations/{path.name}' for path in (BASES / 'augmentations').glob('crop_*.py')}
    assert len(crops) == 4 and crops <= configs_with(r"dict\(type='SSDColorAugmentation'\)")


def test_jitter_pads_with_the_mean():
    [_, jitter] = base('augmentations/jitter_1024').jitter_1024
    mean = base('models/mask2former_r50').model.data_preprocessor.mean  # RGB; images are BGR until they are normalised
    assert 'pad_val' not in jitter
    from mask2former.datasets.transforms import LargeScaleJitter

    padding = LargeScaleJitter(crop_size=(8, 8)).pad_val
    assert all(abs(value - level) <= 0.5 for value, level in zip(padding, reversed(mean)))


@pytest.mark.parametrize('task', ['panoptic', 'instance'])
def test_images_without_a_segment_are_left_out(task):
    assert base(f'tasks/{task}').train_dataloader.dataset.filter_cfg == dict(filter_empty_gt=True)
    assert configs_with('filter_empty_gt') == {'_base_/tasks/panoptic.py', '_base_/tasks/instance.py'}


def test_any_two_images_make_a_batch():
    assert base('tasks/dataloaders').train_dataloader.sampler == dict(type='InfiniteSampler', shuffle=True)
    assert not configs_with('batch_sampler|AspectRatio')


def test_ade20k_instance_models_give_instances_only():
    [path] = (ROOT / 'configs' / 'ade20k' / 'instance').glob('*r50*.py')
    postprocessors = Config.fromfile(path).model.postprocessors
    assert [name for name, postprocessor in postprocessors.items() if postprocessor is not None] == ['instance']


def test_mixed_precision_is_asked_for():
    assert base('schedules/adamw_base').optim_wrapper.get('amp_dtype') is None
    assert not configs_with('amp_dtype|full_precision')


def test_polynomial_decay_ends_at_zero_and_is_else_the_reference_s():
    """The reference: (1 - t / T) ** 0.9 in iteration t of T, which in the last one is not zero yet."""
    settings = dict(base('schedules/adamw_poly_90k').param_scheduler)
    assert settings.pop('type') == 'PolyLR' and settings['end'] == base('schedules/adamw_poly_90k').train_cfg.max_iters
    length = settings['end'] = 9000  # a tenth, so ten times the difference
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    scheduler = PolyLR(optimizer, **settings)
    rates = []
    for _ in range(length):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    theirs = (1 - torch.arange(length, dtype=torch.float64) / length) ** 0.9
    difference = (torch.tensor(rates, dtype=torch.float64) - theirs).abs()
    assert rates[-1] == 0 < theirs[-1]
    assert 0 < difference.max() < 4e-4
