"""The optimizer wrapper equals plain PyTorch and mmengine, and leaves out steps that are not finite."""

import copy

import mmdet.models  # noqa: F401  (registers the backbones)
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn

from benchmarks.synthetic import smooth_masks
from mask2former.engine import SegOptimWrapper, optim_wrapper
from mask2former.errors import NonFiniteError
from mask2former.models.criterion import PointSampledCriterion
from tests.tiny import build_tiny, random_images, sample_of

NAN, INF = float('nan'), float('inf')


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def adamw(model, **kwargs):
    return torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1, **kwargs)


def data(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, 6, generator=generator, dtype=torch.float64),
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
    )


def loss_of(model, inputs, targets):
    return (model(inputs) - targets).square().mean()


def train(model, wrapper, batches):
    for batch in batches:
        with wrapper.optim_context(model):
            loss = loss_of(model, *batch)
        wrapper.update_params(loss)
    return model


def copies(module):
    return [value.clone() for value in module.state_dict().values()]


def assert_same_state(a, b):
    """Nested states of optimizers are the same, bit by bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_state(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_same_state(x, y)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


@pytest.fixture
def warnings(monkeypatch):
    messages = []
    monkeypatch.setattr(optim_wrapper, 'print_log', lambda message, logger, level: messages.append(message))
    return messages


@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=0.01, norm_type=2), dict(max_norm=0.2, norm_type=INF)])
def test_steps_equal_mmengine(clip_grad):
    batches = [data(4, seed) for seed in range(5)]
    ours, theirs = linear(), linear()
    train(ours, SegOptimWrapper(adamw(ours), clip_grad=copy.copy(clip_grad)), batches)
    train(theirs, OptimWrapper(adamw(theirs), clip_grad=copy.copy(clip_grad)), batches)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters()))
    assert not torch.equal(ours[0].weight, linear()[0].weight)


@pytest.mark.parametrize('max_norm', [0.01, 1e3])
def test_clipping_equals_torch_and_the_norm_is_logged(max_norm):
    """The norm before clipping, over all groups together."""
    ours, theirs = linear(), linear()
    groups = [dict(params=ours[0].parameters()), dict(params=ours[2].parameters())]
    train(ours, SegOptimWrapper(torch.optim.SGD(groups, lr=1.0), clip_grad=dict(max_norm=max_norm)), [data(4)])
    loss_of(theirs, *data(4)).backward()
    norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
    assert 0.01 < norm < 1e3
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b - b.grad, rtol=1e-12, atol=1e-12)
    logged = MessageHub.get_current_instance().get_scalar('train/grad_norm').current()
    assert logged == pytest.approx(norm.item(), rel=1e-12)


def test_only_norms_are_clipped():
    with pytest.raises(ValueError, match='max_norm'):
        SegOptimWrapper(adamw(linear()), clip_grad=dict(type='value', clip_value=0.1))


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_gradient_that_is_not_finite_changes_nothing(value, warnings):
    model = linear()
    wrapper = SegOptimWrapper(adamw(model), clip_grad=dict(max_norm=0.01))
    train(model, wrapper, [data(4)] * 2)
    parameters, state = copies(model), copy.deepcopy(wrapper.state_dict())
    inputs, targets = data(4)
    targets[2, 1] = value
    train(model, wrapper, [(inputs, targets)])
    assert all(torch.equal(a, b) for a, b in zip(copies(model), parameters))
    assert_same_state(wrapper.state_dict(), state)
    assert wrapper.skipped == 1
    assert len(warnings) == 1 and 'left out (1 in a row)' in warnings[0]
    assert all(p.grad is None or not p.grad.any() for p in model.parameters()), 'nothing is left for the next step'

    train(model, wrapper, [data(4)])
    assert wrapper.skipped == 0 and len(warnings) == 1
    undisturbed = linear()
    train(undisturbed, SegOptimWrapper(adamw(undisturbed), clip_grad=dict(max_norm=0.01)), [data(4)] * 3)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), undisturbed.parameters()))


def test_training_stops_after_so_many_skipped_steps_in_a_row(warnings):
    model = linear()
    wrapper = SegOptimWrapper(adamw(model), max_skipped=3)
    good, bad = data(4), (data(4)[0], torch.full((4, 3), NAN, dtype=torch.float64))
    train(model, wrapper, [bad, bad, good, bad, bad])
    assert wrapper.skipped == 2 and [int(text.split('(')[1][0]) for text in warnings] == [1, 2, 1, 2]
    with pytest.raises(NonFiniteError, match='3 steps in a row'):
        train(model, wrapper, [bad])


def test_two_accumulated_batches_equal_one_twice_as_large():
    batches = [data(4, seed) for seed in range(6)]
    pairs = [tuple(torch.cat(parts) for parts in zip(*batches[i : i + 2])) for i in range(0, 6, 2)]
    ours, theirs = linear(), linear()
    wrapper = SegOptimWrapper(adamw(ours), accumulative_counts=2, clip_grad=dict(max_norm=0.1))
    train(ours, wrapper, batches[:1])
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters())), 'no step after the first'
    train(ours, wrapper, batches[1:])
    train(theirs, SegOptimWrapper(adamw(theirs), clip_grad=dict(max_norm=0.1)), pairs)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_one_bad_batch_of_two_accumulated_ones_skips_the_step(warnings):
    model = linear()
    wrapper = SegOptimWrapper(adamw(model), accumulative_counts=2)
    before, bad = copies(model), (data(4)[0], torch.full((4, 3), NAN, dtype=torch.float64))
    train(model, wrapper, [bad, data(4)])
    assert all(torch.equal(a, b) for a, b in zip(copies(model), before)) and len(warnings) == 1
    train(model, wrapper, [data(4), data(4)])
    assert not torch.equal(copies(model)[0], before[0])


@pytest.mark.parametrize('amp_dtype', [None, 'float16'])
def test_state_goes_round(amp_dtype, warnings):
    def start(seed):
        model = linear(seed).float()
        optimizer = torch.optim.AdamW([dict(params=model[0].parameters()), dict(params=model[2].parameters(), lr=0.01)])
        return model, SegOptimWrapper(optimizer, amp_dtype=amp_dtype)

    batches = [tuple(x.float() for x in data(4, seed)) for seed in range(6)]
    bad = (batches[0][0], torch.full((4, 3), INF))
    model, wrapper = start(0)
    train(model, wrapper, batches[:3] + [bad])  # the bad one halves the loss scale
    scale = wrapper.scaler.get_scale()
    assert scale == (32768 if amp_dtype else 1)

    other, other_wrapper = start(1)
    other.load_state_dict(model.state_dict())
    other_wrapper.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    assert other_wrapper.scaler.get_scale() == scale
    for m, w in ((model, wrapper), (other, other_wrapper)):
        train(m, w, batches[3:])
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))
    assert_same_state(wrapper.state_dict(), other_wrapper.state_dict())


def test_states_with_and_without_loss_scale_are_interchangeable():
    plain, scaled = (SegOptimWrapper(adamw(linear()), amp_dtype=amp_dtype) for amp_dtype in (None, 'float16'))
    state = scaled.state_dict()
    assert 'loss_scaler' in state and 'loss_scaler' not in plain.state_dict()
    plain.load_state_dict(state)
    assert 'loss_scaler' in state, 'the given state is left as it is'
    scaled.load_state_dict(plain.state_dict())


def test_bfloat16_trains_with_float32_losses(monkeypatch):
    model = build_tiny()
    wrapper = SegOptimWrapper(
        torch.optim.AdamW(model.parameters(), lr=1e-3), amp_dtype='bfloat16', clip_grad=dict(max_norm=0.01)
    )
    inside = []
    forward, layer_losses = PointSampledCriterion.forward, PointSampledCriterion.layer_losses

    def spy_forward(self, output, *args):
        inside.append(output.mask_features.dtype)
        return forward(self, output, *args)

    def spy_losses(self, output, *args):
        losses = layer_losses(self, output, *args)
        inside.append(torch.is_autocast_enabled('cpu'))
        inside.extend(x.dtype for x in (*output, *losses.values()) if x is not None)
        return losses

    monkeypatch.setattr(PointSampledCriterion, 'forward', spy_forward)
    monkeypatch.setattr(PointSampledCriterion, 'layer_losses', spy_losses)
    before = copies(model)
    generator = torch.Generator().manual_seed(0)
    batch = dict(
        inputs=[(60 * image + 120).clamp(0, 255).byte() for image in random_images(2)],
        data_samples=[sample_of(smooth_masks(n, 64, 96, generator)) for n in (2, 3)],
    )
    for _ in range(3):
        losses = model.train_step(copy.deepcopy(batch), wrapper)
        assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    assert inside == [torch.bfloat16, False, *[torch.float32] * 6] * 3
    assert wrapper.skipped == 0
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(copies(model), before))


def test_unknown_type_of_mixed_precision():
    with pytest.raises(ValueError, match="not 'half'"):
        SegOptimWrapper(adamw(linear()), amp_dtype='half')


def test_a_loss_scale_that_falls_and_falls_is_said(warnings):
    """Nineteen bad steps, one good, and again: never twenty in a row, and the scale is halved nineteen times."""
    model = linear().float()
    wrapper = SegOptimWrapper(adamw(model), amp_dtype='float16')
    good = tuple(x.float() for x in data(4))
    bad = (good[0], torch.full((4, 3), INF))
    train(model, wrapper, [bad] * 16)
    assert wrapper.scaler.get_scale() == 1 and not any('loss scale' in text for text in warnings)
    train(model, wrapper, [bad, bad, good, bad, bad, bad])
    said = [text for text in warnings if 'loss scale' in text]
    assert wrapper.scaler.get_scale() == 1 / 32
    assert len(said) == 1 and 'float16 has fallen to 0.5' in said[0] and 'Train in bfloat16' in said[0]
    train(model, wrapper, [bad] * 5)
    assert sum('loss scale' in text for text in warnings) == 2, 'at every sixteenth of it again'


def test_an_infinite_loss_with_a_finite_gradient_is_left_out(warnings):
    model = linear()
    wrapper = SegOptimWrapper(adamw(model))
    before = copies(model)
    wrapper.update_params(loss_of(model, *data(4)) + INF)
    assert wrapper.skipped == 1 and all(torch.equal(a, b) for a, b in zip(copies(model), before))
    wrapper.update_params(loss_of(model, *data(4)))
    assert wrapper.skipped == 0
