"""Same weights: the same logits, losses and gradients as transformers' EoMT."""

import pytest
import torch
from transformers.models.eomt_dinov3 import modeling_eomt_dinov3

from mask2former.models.criterion import point_sampling
from tests.test_models.peers import in_turn

from . import small
from .small import BLOCKS, KINDS, build_small, build_transformers, key_map, make_batch

COUNTS, NUM_POINTS = [2, 4], 300
kinds = pytest.mark.parametrize('kind', KINDS)


@pytest.fixture(autouse=True)
def exact_positions(monkeypatch):
    """transformers' positions are float32 in a float64 model, too."""
    inexact = modeling_eomt_dinov3.get_patches_center_coordinates
    monkeypatch.setattr(
        modeling_eomt_dinov3,
        'get_patches_center_coordinates',
        lambda h, w, dtype, device: inexact(h, w, dtype=torch.float64, device=device),
    )


def set_probabilities(values, *models):
    for model in models:
        (model.head.mask_probability if hasattr(model, 'head') else model.attn_mask_probs).copy_(torch.tensor(values))


@torch.no_grad()
@kinds
@pytest.mark.parametrize('probability', [0.0, 1.0])
@pytest.mark.parametrize('side', [96, 160])
def test_logits(kind, probability, side):
    ours = build_small(kind, side)
    theirs = build_transformers(kind, ours, side)
    set_probabilities([probability] * BLOCKS, ours, theirs)
    images, _ = make_batch(COUNTS, side)
    classes, masks = ours(images)
    other = theirs(pixel_values=images)
    assert masks.shape == (2, small.Q, side // 4, side // 4)
    torch.testing.assert_close(classes, other.class_queries_logits, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(masks, other.masks_queries_logits, rtol=1e-9, atol=1e-8)


@torch.no_grad()
@kinds
def test_masked_attention_changes_the_logits(kind):
    """Else the comparison with and without it would say nothing."""
    model = build_small(kind)
    images, _ = make_batch(COUNTS)
    free = model(images)[1]
    set_probabilities([1.0] * BLOCKS, model)
    assert (model(images)[1] - free).abs().max() > 1e-3


def points_of_layer(points, layer):
    blocks = points.split([small.D * n for n in COUNTS])
    return torch.cat([block.view(small.D, n, NUM_POINTS, 2)[layer] for block, n in zip(blocks, COUNTS)])


@kinds
@pytest.mark.parametrize('probabilities', [[1.0, 1.0, 1.0], [0.3, 0.6, 1.0]])
def test_losses_and_gradients(kind, probabilities, monkeypatch):
    ours = build_small(kind)
    theirs = build_transformers(kind, ours).train()
    ours.train()
    ours.criterion.num_points = ours.criterion.matcher.num_points = NUM_POINTS
    set_probabilities(probabilities, ours, theirs)
    images, samples = make_batch(COUNTS)
    targets = [sample.gt_segments for sample in samples]
    points = torch.rand(small.D * sum(COUNTS), NUM_POINTS, 2, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(point_sampling, 'uncertain_points', in_turn(points))

    torch.manual_seed(3)
    draws = torch.rand(BLOCKS, len(COUNTS), small.Q)  # of the queries that are not masked, block by block as theirs
    output = ours.extract(images, draws)
    matches = ours.criterion.matcher(output, targets)
    losses = ours.criterion.layer_losses(output, targets, matches)
    total = sum(loss.sum() for loss in losses.values())
    total.backward()
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())

    layers = iter(range(small.D))
    current = {}

    def match(*args):
        current['d'] = next(layers)
        return [(q[current['d']], s[current['d']]) for q, s in matches]

    theirs.criterion.empty_weight.copy_(torch.tensor([1.0] * 5 + [0.1], dtype=torch.float64))
    monkeypatch.setattr(theirs.criterion.matcher, 'forward', match)
    monkeypatch.setattr(
        theirs.criterion,
        'sample_points_using_uncertainty',
        lambda masks, *args: points_of_layer(points, current['d']).to(masks.dtype),
    )
    torch.manual_seed(3)
    other = theirs(
        pixel_values=images, mask_labels=[t.masks.double() for t in targets], class_labels=[t.labels for t in targets]
    )
    other.loss.backward()
    torch.testing.assert_close(output.class_logits[-1], other.class_queries_logits, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(output.mask_logits(), other.masks_queries_logits, rtol=1e-9, atol=1e-8)
    torch.testing.assert_close(total, other.loss.squeeze(), rtol=1e-9, atol=1e-9)
    other_gradients = {name: p.grad for name, p in theirs.named_parameters()}
    mapped = key_map(ours).to_theirs(gradients)
    assert len(mapped) == len(list(ours.parameters()))
    for name, gradient in mapped.items():
        reference = other_gradients[name]
        assert (gradient - reference).norm() <= 1e-8 * reference.norm() + 1e-10, name


@torch.no_grad()
def test_positions_are_rescaled_in_training(monkeypatch):
    ours = build_small('dinov3').train()
    theirs = build_transformers('dinov3', ours).train()
    images, _ = make_batch(COUNTS)
    plain = ours(images)[1]
    ours.backbone.position_rescale = theirs.config.pos_embed_rescale = 2.0
    torch.manual_seed(4)
    masks = ours(images)[1]
    assert (masks - plain).abs().max() > 1e-4
    uniform = torch.Tensor.uniform_  # a float64 is drawn from other random bits than a float32
    monkeypatch.setattr(torch.Tensor, 'uniform_', lambda x, a, b: x.copy_(uniform(torch.empty(1), a, b)))
    torch.manual_seed(4)
    torch.testing.assert_close(masks, theirs(pixel_values=images).masks_queries_logits, rtol=1e-6, atol=1e-6)
