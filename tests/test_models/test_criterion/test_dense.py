"""Dense losses and costs are those of their plain formulas, and of transformers' MaskFormer."""

import pytest
import torch
import torch.nn.functional as F

from mask2former.models import criterion as criterion_module
from mask2former.models.criterion import DenseCriterion, HungarianMatcher, PointSampledCriterion
from mask2former.models.criterion.dense import dense_losses
from mask2former.models.criterion.losses import dice_loss, focal_loss, mask_loss, pairwise_focal_cost

from .random_outputs import B, D, H, K, Q, W, h, make_output, make_targets, w


@pytest.mark.parametrize('focal', [False, True])
def test_losses_and_gradients_are_those_of_the_plain_formulas(focal):
    generator = torch.Generator().manual_seed(0)
    [target] = make_targets([4])
    logits = (4 * torch.randn(7, h, w, generator=generator, dtype=torch.float64)).requires_grad_()
    segments = torch.tensor([0, 3, 1, 1, 2, 0, 3])
    weights = torch.rand(2, 7, generator=generator, dtype=torch.float64)

    def plain(logits):
        x = F.interpolate(logits[:, None], size=(H, W), mode='bilinear', align_corners=False).flatten(1)
        t = target.masks[segments].flatten(1).double()
        return (focal_loss if focal else mask_loss)(x, t), dice_loss(x, t)

    found, gradients = [], []
    for losses in (plain, lambda x: dense_losses(x, target.masks, segments, focal)):
        found.append(torch.stack(losses(logits)))
        gradients.append(torch.autograd.grad((found[-1] * weights).sum(), logits)[0])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-15)


@pytest.mark.filterwarnings('ignore')
def test_focal_loss_and_cost_are_transformers(monkeypatch):
    from transformers.models.maskformer import modeling_maskformer as peer

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(5, 60, generator=generator, dtype=torch.float64)
    masks = (torch.rand(5, 60, generator=generator) > 0.5).double()
    expected = peer.sigmoid_focal_loss(logits, masks, 1)
    torch.testing.assert_close(focal_loss(logits, masks).sum(), expected, rtol=1e-12, atol=0)
    costs = peer.pair_wise_sigmoid_focal_loss(logits, masks)
    torch.testing.assert_close(pairwise_focal_cost(logits, masks), costs, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings('ignore')
def test_dense_matching_is_transformers():
    from transformers.models.maskformer.modeling_maskformer import MaskFormerHungarianMatcher

    output, targets = make_output(), make_targets([4, 9])
    ours = HungarianMatcher(1.0, 20.0, 1.0, num_points=None, focal=True)(output, targets)
    theirs = MaskFormerHungarianMatcher(1.0, 20.0, 1.0)
    for d in range(D):
        pairs = theirs(
            output.mask_logits(d),
            output.class_logits[d],
            [target.masks.double() for target in targets],
            [target.labels for target in targets],
        )
        for b in range(B):
            assert torch.equal(ours[b][0][d], pairs[b][0]) and torch.equal(ours[b][1][d], pairs[b][1])


@pytest.mark.parametrize('focal', [False, True])
@pytest.mark.parametrize('counts', [[3, 5], [0, 2], [0, 0]])
def test_few_masks_at_a_time_change_nothing(counts, focal, monkeypatch):
    losses, gradients = [], []
    for pixels in (1, 10 * H * W, 2**30):
        monkeypatch.setattr(criterion_module.dense, 'MAX_PIXELS_CPU', pixels)
        output = type(make_output())(*(x.requires_grad_() for x in make_output()[:3]))
        criterion = DenseCriterion(K, dict(type='HungarianMatcher'), focal=focal)
        found = criterion(output, make_targets(counts))
        sum(found.values()).backward()
        losses.append(found)
        gradients.append(output.mask_features.grad)
    for found, gradient in zip(losses[1:], gradients[1:]):
        assert found.keys() == losses[0].keys()
        for name, value in found.items():
            torch.testing.assert_close(value, losses[0][name], rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient, gradients[0], rtol=0, atol=1e-14)
    assert all(value.isfinite() for value in losses[0].values())


@pytest.mark.parametrize('points', [None, 100])
@pytest.mark.parametrize('dense', [False, True])
def test_every_combination_of_table_5(points, dense):
    matcher = dict(type='HungarianMatcher', num_points=points)
    criterion = DenseCriterion(K, matcher) if dense else PointSampledCriterion(K, matcher, num_points=50)
    assert criterion.matcher.num_points == points
    losses = criterion(make_output(), make_targets([3, Q]))
    assert all(value > 0 for value in losses.values())


def test_the_matcher_follows_the_criterion():
    matcher = dict(type='HungarianMatcher')
    assert DenseCriterion(K, matcher).matcher.num_points is None
    assert PointSampledCriterion(K, matcher, num_points=7).matcher.num_points == 7
    assert matcher == dict(type='HungarianMatcher')
