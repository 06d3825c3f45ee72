"""What the configs set as the reference does (docs/correctness.md); test_differences.py has what they do otherwise."""

import re
from functools import cache
from pathlib import Path

from mmengine.config import Config

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
    others = {'_base_/models/maskformer_parts.py', '_base_/models/eomt_parts.py'}
    assert configs_with(r'_cost\b|(class|mask|dice|object)_weight') == {'_base_/models/mask2former_r50.py', *others}
    assert base('models/eomt_parts').model.criterion == criterion
    maskformer = base('models/maskformer_parts').criterion
    matcher = maskformer.matcher
    assert (matcher.class_cost, matcher.mask_cost, matcher.dice_cost) == (1.0, 20.0, 1.0)
    assert (maskformer.class_weight, maskformer.mask_weight, maskformer.dice_weight) == (1.0, 20.0, 1.0)
    assert maskformer.no_object_weight == 0.1


def test_no_config_swaps_colour_channels():
    assert not configs_with('PhotoMetric|RandomChannel|ChannelShuffle')
    crops = {f'_base_/augmentations/{path.name}' for path in (BASES / 'augmentations').glob('crop_*.py')}
    assert len(crops) == 6 and crops <= configs_with(r"dict\(type='SSDColorAugmentation'\)")


def test_no_config_rasterises_after_the_augmentation():
    """It is the reference's way for COCO's instances, and slower; docs/correctness.md says what is done instead."""
    assert not configs_with('RasterizeInstances')


def test_emptied_segments_are_kept_where_the_reference_keeps_them():
    kept = set()
    for path in (ROOT / 'configs').rglob('*.py'):
        if '_base_' not in path.parts:
            cfg = Config.fromfile(path)
            if cfg.train_dataloader.dataset.pipeline[-1].get('min_area', 1) == 0:
                kept.add(path.relative_to(ROOT / 'configs').parts[:-1])
    panoptic = {(name, 'panoptic') for name in ('coco', 'ade20k', 'cityscapes', 'mapillary')}
    assert kept == {*panoptic, ('ade20k', 'instance'), ('cityscapes', 'instance'), ('ablations',)}
    assert 'min_area' not in base('datasets/coco_semantic').train_dataloader.dataset.pipeline[-1]


def test_ade20k_instance_models_give_instances_only():
    [path] = (ROOT / 'configs' / 'ade20k' / 'instance').glob('*r50*.py')
    postprocessors = Config.fromfile(path).model.postprocessors
    assert [name for name, postprocessor in postprocessors.items() if postprocessor is not None] == ['instance']


def test_mixed_precision_is_asked_for():
    assert base('schedules/adamw_base').optim_wrapper.get('amp_dtype') is None
    assert not configs_with('amp_dtype|full_precision')
