"""EoMT's learning rates: of every weight, over the iterations."""

import pytest

from mask2former.engine import EncoderOnlyOptimWrapperConstructor, SegOptimWrapperConstructor, TwoStageWarmupPolyLR
from mask2former.errors import ConfigError
from mask2former.registry import MODELS, PARAM_SCHEDULERS
from tests.test_models.test_eomt.small import small_config
from tests.tiny import build_tiny

LR, DECAY = 1e-4, 0.05
OPTIMIZER = dict(type='SegOptimWrapper', optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY))


def build(**paramwise):
    """The model of 2 + 3 blocks, and its optimizer."""
    model = MODELS.build(small_config('dinov2'))
    return model, EncoderOnlyOptimWrapperConstructor(OPTIMIZER, paramwise)(model)


def rates(model, wrapper):
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = {names[p]: group['lr'] for group in wrapper.optimizer.param_groups for p in group['params']}
    assert found.keys() == set(names.values())
    return found


@pytest.mark.parametrize('decay_head', [True, False])
def test_layers(decay_head):
    model, wrapper = build(layer_decay=0.8, decay_head=decay_head)
    powers = {'backbone.blocks.0.': 4, 'backbone.blocks.1.': 3, 'head.blocks.0.': 2, 'head.blocks.1.': 1}
    if not decay_head:
        powers = {name: power for name, power in powers.items() if name.startswith('backbone')}
    for name, rate in rates(model, wrapper).items():
        power = next((power for start, power in powers.items() if name.startswith(start)), 0)
        if name.startswith('backbone.') and '.blocks.' not in name:
            power = 4  # patches, positions, tokens
        assert rate == pytest.approx(LR * 0.8**power, rel=1e-12), name
    assert {group['weight_decay'] for group in wrapper.optimizer.param_groups} == {DECAY}


def test_what_is_of_the_transformer():
    model, wrapper = build()
    names = {parameter: name for name, parameter in model.named_parameters()}
    outside = {names[p] for group in wrapper.optimizer.param_groups if not group['in_vit'] for p in group['params']}
    assert {name.split('.')[1] for name in outside} == {'query_feat', 'class_embed', 'mask_embed', 'upscale'}
    assert all(name.startswith('head.') for name in outside)
    assert len(wrapper.optimizer.param_groups) == 2


def test_two_warm_ups_then_both_fall():
    _, wrapper = build()
    scheduler = PARAM_SCHEDULERS.build(
        dict(type='TwoStageWarmupPolyLR', optimizer=wrapper, warmup=4, vit_warmup=10, end=24, power=0.9)
    )
    curves = {True: [], False: []}
    for _ in range(24):
        for group in wrapper.optimizer.param_groups:
            curves[group['in_vit']].append(group['lr'] / LR)
        wrapper.optimizer.step()
        scheduler.step()
    assert curves[False][:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert curves[False][14] == pytest.approx(0.5**0.9) and curves[False][23] == pytest.approx(0.05**0.9)
    assert curves[True][:5] == [0] * 5 and curves[True][9] == pytest.approx(0.5)
    assert curves[True][14] == 1 and curves[True][19] == pytest.approx(0.5**0.9)
    assert curves[True][23] == pytest.approx(0.1**0.9)


def test_steps_are_counted_where_gradients_are_accumulated():
    """As Lightning does for the reference: a warm-up is of the optimizer's steps, and the end is the training's."""
    curves = {}
    for count in (1, 3):
        model = MODELS.build(small_config('dinov2'))
        wrapper = EncoderOnlyOptimWrapperConstructor(dict(OPTIMIZER, accumulative_counts=count))(model)
        wrapper.optimizer.step()
        scheduler = TwoStageWarmupPolyLR(wrapper, warmup=2, vit_warmup=3, end=8 * count)
        curves[count] = []
        for _ in range(8 * count):
            curves[count].append([group['lr'] for group in wrapper.optimizer.param_groups])
            scheduler.step()
    assert curves[3] == [rates for rates in curves[1] for _ in range(3)]
    assert len({tuple(rates) for rates in curves[1]}) == 8


@pytest.mark.filterwarnings('ignore:Detected call of')
def test_it_goes_on_from_its_state():
    _, wrapper = build()
    first = TwoStageWarmupPolyLR(wrapper, warmup=2, vit_warmup=3, end=10)
    for _ in range(4):
        first.step()
    _, other = build()
    second = TwoStageWarmupPolyLR(other, warmup=2, vit_warmup=3, end=10)
    second.load_state_dict(first.state_dict())
    first.step(), second.step()
    assert [g['lr'] for g in wrapper.optimizer.param_groups] == [g['lr'] for g in other.optimizer.param_groups]


def test_errors():
    _, wrapper = build()
    with pytest.raises(ConfigError, match='must end before its end, 5'):
        TwoStageWarmupPolyLR(wrapper, warmup=2, vit_warmup=3, end=5)
    with pytest.raises(ConfigError, match="set optim_wrapper.constructor to 'EncoderOnlyOptimWrapperConstructor'"):
        model = build_tiny()

        TwoStageWarmupPolyLR(SegOptimWrapperConstructor(OPTIMIZER)(model), warmup=2, vit_warmup=3, end=9)
    with pytest.raises(ConfigError, match="set optim_wrapper.constructor to 'SegOptimWrapperConstructor'"):
        EncoderOnlyOptimWrapperConstructor(OPTIMIZER)(build_tiny())
    with pytest.raises(ConfigError, match='knows only layer_decay and decay_head'):
        EncoderOnlyOptimWrapperConstructor(OPTIMIZER, dict(layer_dekay=1))
    with pytest.raises(ConfigError, match=r'layer_decay must lie in \(0, 1\], but is 1.2'):
        EncoderOnlyOptimWrapperConstructor(OPTIMIZER, dict(layer_decay=1.2))
