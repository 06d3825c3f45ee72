"""Mixed precision and gradient accumulation of the whole model, alone and together."""

import copy
from unittest import mock

import pytest
import torch
from mmengine.model import MMDistributedDataParallel

from benchmarks.synthetic import smooth_masks
from mask2former.engine import SegOptimWrapper
from mask2former.models.criterion import HungarianMatcher, PointSampledCriterion, point_sampling
from tests.tiny import build_tiny, random_images, sample_of


def fixed_points(num_masks, num_points, like, generator=None):
    """Points that do not depend on which masks share a batch."""
    points = torch.rand(1, num_points, 2, generator=torch.Generator().manual_seed(0), dtype=like.dtype)
    return points.expand(num_masks, -1, -1)


@pytest.fixture(autouse=True)
def same_points_on_the_cpu(monkeypatch):
    """Points that do not depend on which images share a batch; models of these tests are on the CPU."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with mock.patch.object(point_sampling, 'random_points', fixed_points):
        yield


def batch(counts=(2, 3), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return dict(
        inputs=[(60 * image + 120).clamp(0, 255).byte() for image in random_images(len(counts), seed=seed)],
        data_samples=[sample_of(smooth_masks(n, 64, 96, generator)) for n in counts],
    )


def join(a, b):
    return {key: a[key] + b[key] for key in a}


def sgd(model, **options):
    return SegOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **options)


def step(model, wrapper, *batches):
    return [model.train_step(copy.deepcopy(one), wrapper) for one in batches]


def moves(model, *batches, dtype=torch.float64, **options):
    """How far each parameter goes in the steps of some batches."""
    model = copy.deepcopy(model).to(dtype)
    before = [p.detach().clone() for p in model.parameters()]
    wrapper = sgd(model, **options)
    # Small from the start: otherwise float16 leaves out the first steps.
    wrapper.scaler = torch.amp.GradScaler('cpu', init_scale=256.0, enabled=wrapper.scaler.is_enabled())
    step(model, wrapper, *batches)
    return torch.cat([(p.detach() - b).flatten() for p, b in zip(model.parameters(), before)])


# Mixed precision.


@pytest.mark.parametrize('amp_dtype, tolerance', [('bfloat16', 0.03), ('float16', 0.005)])
def test_half_precision_losses_are_near_those_of_float32(amp_dtype, tolerance):
    model = build_tiny()
    seen = []

    def watch(method):
        def wrapper(self, *args):
            seen.append((torch.is_autocast_enabled('cpu'), *(x.dtype for x in args[0] if x is not None)))
            return method(self, *args)

        return wrapper

    (expected,) = step(copy.deepcopy(model), sgd(model), batch())
    with (
        mock.patch.object(HungarianMatcher, '__call__', watch(HungarianMatcher.__call__)),
        mock.patch.object(PointSampledCriterion, 'layer_losses', watch(PointSampledCriterion.layer_losses)),
    ):
        (losses,) = step(model, sgd(model, amp_dtype=amp_dtype), batch())
    assert seen == [(False, *[torch.float32] * 3)] * 2, 'matching and losses are in float32'
    for name, loss in expected.items():
        assert losses[name].dtype == torch.float32
        assert losses[name] != loss, 'the model is not in half precision'
        assert abs(losses[name] - loss) <= tolerance * loss, name


@torch.no_grad()
def test_the_pixel_decoder_may_stay_in_full_precision():
    """As in the reference; the rest of the model is in half precision all the same."""
    model = build_tiny()
    images = random_images(2)
    with torch.autocast('cpu', torch.bfloat16):
        features = model.backbone(images)
        half, _ = model.pixel_decoder(features)
        model.pixel_decoder.full_precision = True
        full, memory = model.pixel_decoder(features)
        logits = model.head(full, memory).class_logits
    assert {x.dtype for x in features} == {half.dtype, logits.dtype} == {torch.bfloat16}
    expected, levels = model.pixel_decoder([x.float() for x in features])
    assert full.dtype == torch.float32 and torch.equal(full, expected)
    assert all(torch.equal(ours, level) for ours, level in zip(memory, levels, strict=True))
    assert not torch.equal(half.float(), full)


@pytest.mark.parametrize('amp_dtype', ['bfloat16', 'float16'])
def test_half_precision_trains(amp_dtype):
    model = build_tiny()
    wrapper = SegOptimWrapper(
        torch.optim.AdamW(model.parameters(), lr=1e-3), amp_dtype=amp_dtype, clip_grad=dict(max_norm=0.01)
    )
    losses = [
        sum(x.item() for name, x in step(model, wrapper, batch())[0].items() if name != 'loss') for _ in range(30)
    ]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    assert wrapper.skipped == 0


def test_scale_of_the_loss_falls_until_float16_can_hold_the_gradients():
    model = build_tiny()
    wrapper = sgd(model, amp_dtype='float16')
    wrapper.scaler = torch.amp.GradScaler('cpu', init_scale=2.0**24)
    before = model.head.class_embed.weight.detach().clone()
    step(model, wrapper, batch())
    assert wrapper.skipped == 1 and torch.equal(model.head.class_embed.weight, before)
    while wrapper.skipped:  # ends, for too many skipped steps are an error
        assert wrapper.scaler.get_scale() == 2.0 ** (24 - wrapper.skipped)
        step(model, wrapper, batch())
    assert not torch.equal(model.head.class_embed.weight, before)


# Gradient accumulation.


def test_two_accumulated_batches_give_the_mean_of_their_gradients():
    model, one, two = build_tiny(), batch((2,)), batch((3,), seed=1)
    accumulated = moves(model, one, two, accumulative_counts=2)
    assert torch.allclose(accumulated, (moves(model, one) + moves(model, two)) / 2, rtol=1e-9, atol=1e-12)
    # Each is divided by its own number of segments; in one batch both are divided by the sum.
    assert not torch.allclose(accumulated, moves(model, join(one, two)), rtol=1e-2, atol=1e-4)


def test_two_accumulated_batches_with_as_many_segments_equal_one_batch():
    model, one, two = build_tiny(), batch((3,)), batch((3,), seed=1)
    accumulated = moves(model, one, two, accumulative_counts=2)
    assert torch.allclose(accumulated, moves(model, join(one, two)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('amp_dtype', ['bfloat16', 'float16'])
def test_accumulation_in_half_precision(amp_dtype):
    model, one, two = build_tiny(), batch((3,)), batch((3,), seed=1)
    options = dict(amp_dtype=amp_dtype, dtype=torch.float32)
    accumulated = moves(model, one, two, accumulative_counts=2, **options)
    separate = (moves(model, one, **options) + moves(model, two, **options)) / 2
    assert accumulated.any() and torch.allclose(accumulated, separate, rtol=1e-3, atol=1e-5)


def test_processes_talk_only_at_the_end_of_an_accumulation(tmp_path):
    torch.distributed.init_process_group(
        'gloo', store=torch.distributed.FileStore(str(tmp_path / 'store'), 1), rank=0, world_size=1
    )
    try:
        model = build_tiny()
        expected = copy.deepcopy(model)
        wrapped = MMDistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=False)
        talks = []

        def hook(state, bucket):
            talks.append(iteration)
            future = torch.futures.Future()
            future.set_result(bucket.buffer())
            return future

        wrapped.register_comm_hook(None, hook)
        wrapper, other = sgd(model, accumulative_counts=2), sgd(expected, accumulative_counts=2)
        for iteration in range(4):  # noqa: B007  (the hook reads it)
            step(wrapped, wrapper, batch(seed=iteration))
            step(expected, other, batch(seed=iteration))
        assert set(talks) == {1, 3}
        for mine, p in zip(model.parameters(), expected.parameters()):
            assert torch.allclose(mine, p, rtol=1e-4, atol=1e-6)
    finally:
        torch.distributed.destroy_process_group()
