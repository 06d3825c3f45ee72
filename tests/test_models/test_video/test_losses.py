"""The losses of clips are mmdet's where its rule is the same, with the same points, and their gradients, too."""

import pytest
import torch
from mmengine.structures import InstanceData

from mask2former.models.criterion import PointSampledCriterion
from mask2former.models.head import HeadOutput
from mask2former.models.video import ClipCriterion

from .small import build_mmdet, make_clip

D, Q, K, C, h, w, H, W, P = 10, 8, 4, 6, 16, 24, 64, 96, 50


@pytest.fixture(autouse=True)
def same_points(monkeypatch):
    """Every mask gets the points that any other gets, of their number."""

    def rand(*size, device=None, dtype=None, **kwargs):
        *rows, n, two = size[0] if isinstance(size[0], (tuple, list)) else size
        points = torch.empty(n, two, dtype=torch.float64).uniform_(generator=torch.Generator().manual_seed(n))
        return points.to(dtype or torch.float64).expand(*rows, n, two).clone()

    monkeypatch.setattr(torch, 'rand', rand)


def make_output(B, T, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((D, B, Q, K + 1), (D, B, Q, C), (B, T, C, h, w))
    return HeadOutput(
        *(torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes)
    )


def make_criterion(kind=ClipCriterion):
    matcher = 'ClipMatcher' if kind is ClipCriterion else 'HungarianMatcher'
    return kind(K, dict(type=matcher), num_points=P)


def gradients(losses, output):
    return torch.autograd.grad(sum(losses), output[:3], allow_unused=True)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('counts, T', [([3, 2], 2), ([4], 5), ([2, 3], 1), ([0, 2], 2)])
def test_losses_and_gradients_are_those_of_mmdet(counts, T, monkeypatch):
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)  # which it makes of its targets
    head = build_mmdet()[1].track_head
    head.num_frames, head.num_points, head.num_classes, head.num_queries = T, P, K, Q
    head.loss_cls.class_weight = head.class_weight = [1.0] * K + [0.1]
    targets = [make_clip(n, T, seed=i).gt_segments for i, n in enumerate(counts)]
    output = make_output(len(counts), T)
    ours = make_criterion()(output, targets)

    peers = make_output(len(counts), T)
    masks = torch.einsum('dbqc,btchw->dbqthw', peers.mask_embed, peers.mask_features)
    theirs = head.loss_by_feat(
        list(peers.class_logits),
        list(masks),
        [InstanceData(labels=x.labels, masks=x.masks) for x in targets],
        [dict() for _ in counts],
    )
    # Its cross-entropy of masks is T times the reference's, which divides by tracks and points alone; and it counts one
    # track where a clip has none.
    more = sum(max(n, 1) for n in counts) / sum(counts)
    factors = dict(cls=1, mask=more / T, dice=more)
    scaled = {name: loss.sum() * factors[name.rpartition('_')[-1]] for name, loss in theirs.items()}
    for mine, name in (('loss_class', 'loss_cls'), ('loss_mask', 'loss_mask'), ('loss_dice', 'loss_dice')):
        torch.testing.assert_close(ours[mine], scaled[name], rtol=1e-6, atol=1e-9)
    aux = sum(loss for name, loss in scaled.items() if name.startswith('d'))
    torch.testing.assert_close(ours['loss_aux'], aux, rtol=1e-6, atol=1e-9)
    for mine, other in zip(gradients(ours.values(), output), gradients(scaled.values(), peers)):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-6 * float(other.abs().max()))


def test_a_clip_of_equal_frames_weighs_as_often_as_it_has_frames():
    T = 3
    image = make_output(2, 1)
    frames = [make_clip(n, 1, seed=i).gt_segments for i, n in enumerate((2, 3))]
    single = make_criterion(PointSampledCriterion)(
        image._replace(mask_features=image.mask_features[:, 0]),
        [InstanceData(labels=x.labels, masks=x.masks[:, 0]) for x in frames],
    )
    clip = make_criterion()(
        image._replace(mask_features=image.mask_features.expand(-1, T, -1, -1, -1)),
        [InstanceData(labels=x.labels, masks=x.masks.expand(-1, T, -1, -1)) for x in frames],
    )
    torch.testing.assert_close(clip['loss_class'], single['loss_class'], rtol=1e-12, atol=0)
    for name in ('loss_mask', 'loss_dice'):
        torch.testing.assert_close(clip[name], T * single[name], rtol=1e-12, atol=0)


def test_a_track_that_is_seen_in_the_first_frame_only_keeps_its_class():
    """The reference takes the class of the clip's last frame: it learns such a track as no object."""
    output = make_output(1, 2)
    [target] = [make_clip(1, 2).gt_segments]
    target.masks = target.masks.flip(1)  # absent from the last frame
    assert target.masks[0, 0].any() and not target.masks[0, 1].any()
    criterion = make_criterion()
    matches = criterion.matcher(output, [target])
    labels = criterion.class_targets(output, [target], matches)
    assert (labels == target.labels[0]).sum() == D and (labels == K).sum() == D * (Q - 1)


def test_a_clip_without_objects():
    output = make_output(1, 2)
    target = InstanceData(labels=torch.zeros(0, dtype=torch.int64), masks=torch.zeros(0, 2, H, W, dtype=torch.bool))
    losses = make_criterion()(output, [target])
    assert losses['loss_mask'] == losses['loss_dice'] == 0 and losses['loss_class'] > 0
    assert all(x is None or x.isfinite().all() for x in gradients(losses.values(), output))
