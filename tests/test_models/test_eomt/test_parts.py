"""What the parts of EoMT do that the comparison with transformers does not show."""

import pytest
import torch

from mask2former.errors import ConfigError
from mask2former.registry import MODELS

from . import small
from .small import build_small, make_batch, small_config


@torch.no_grad()
@pytest.mark.parametrize(('probability', 'masked'), [(0.49, False), (0.5, True)])
def test_testing_draws_no_random_numbers(probability, masked):
    model = build_small('dinov3')
    images, _ = make_batch([1])
    model.head.mask_probability.fill_(float(masked))
    expected = model(images)[1]
    model.head.mask_probability.fill_(probability)
    state = torch.get_rng_state()
    assert torch.equal(model(images)[1], expected)
    assert torch.equal(torch.get_rng_state(), state)


@torch.no_grad()
def test_which_queries_are_masked_does_not_depend_on_the_batch_that_an_image_is_in():
    """So that two processes of two images do what one does with four."""
    model = build_small('dinov3').train()
    model.head.mask_probability.copy_(torch.tensor([0.5, 1.0, 0.3]))
    images, samples = make_batch([1, 2, 3, 1])
    for seed, sample in enumerate(samples):
        sample.set_metainfo(dict(seed=seed))
    seen = []
    model.criterion.register_forward_hook(lambda module, args, out: seen.append(args[0].mask_embed))
    for part in (slice(4), slice(2), slice(2, 4)):
        torch.manual_seed(part.start or 0)
        model.loss(images[part], samples[part])
    torch.testing.assert_close(torch.cat(seen[1:], 1), seen[0], rtol=1e-12, atol=1e-12)
    samples[0].set_metainfo(dict(seed=7))
    model.loss(images, samples)
    changed = (seen[3] - seen[0]).abs().amax((0, 2, 3)) > 1e-6
    assert changed.tolist() == [True, False, False, False]


@pytest.mark.parametrize('kind', small.KINDS)
def test_recomputed_gradients_are_the_same(kind):
    images, samples = make_batch([2])
    results = []
    for with_cp in (False, True):
        model = build_small(kind).train()
        model.head.mask_probability.fill_(0.5)
        model.backbone.with_cp = model.head.with_cp = with_cp
        torch.manual_seed(1)
        sum(model.loss(images, samples).values()).backward()
        results.append([p.grad for p in model.parameters()])
    for kept, recomputed in zip(*results):
        assert torch.equal(kept, recomputed)


@torch.no_grad()
def test_images_of_another_size_than_the_learned_positions():
    model = build_small('dinov2')
    images = torch.randn(1, 3, 64, 160, dtype=torch.float64)
    assert model(images)[1].shape == (1, small.Q, 16, 40)


@torch.no_grad()
def test_without_masked_attention_there_is_one_prediction_in_training():
    model = build_small('dinov3').train()
    images, _ = make_batch([1])
    assert len(model.extract(images).class_logits) == small.D
    model.head.masked_attention = False
    assert len(model.extract(images).class_logits) == 1


def test_another_pixel_decoder_is_refused():
    with pytest.raises(ConfigError, match='PatchTokens'):
        MODELS.build(dict(small_config('dinov3')['head'], num_classes=3, embed_dims=32, mask_dims=16))


def test_registers_without_weights_are_not_equal():
    """Equal ones get equal gradients, so that they would be one."""
    model = MODELS.build(small_config('dinov2'))
    model.init_weights()
    assert len(model.backbone.registers[0].unique(dim=0)) == model.backbone.registers.shape[1] == 4


def test_images_that_patches_do_not_cover_are_refused():
    cfg = small_config('dinov3')
    cfg['backbone'].update(patch_size=14)
    with pytest.raises(ConfigError, match=r'of 32 pixels, .* have 14: set .*size_divisor to a multiple of 14'):
        MODELS.build(cfg)
    MODELS.build(dict(cfg, data_preprocessor=dict(type='SegDataPreprocessor', size_divisor=28)))
