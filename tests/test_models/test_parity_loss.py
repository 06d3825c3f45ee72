"""Same weights, points and assignments: the same losses of every layer and the same gradients as the peers."""

import pytest
import torch
from mmdet.models.dense_heads import mask2former_head
from mmdet.models.task_modules import AssignResult
from mmengine.structures import InstanceData

from mask2former.checkpoints.keys_mmdet import MMDET
from mask2former.checkpoints.keys_transformers import TRANSFORMERS
from mask2former.models import layers
from mask2former.models.criterion import point_sampling
from mask2former.models.pixel_decoder import msdeform_attn_pixel_decoder

from .peers import BACKBONES, build_mmdet, build_ours, build_transformers, in_turn, make_batch

D = 10
COUNTS = [3, 7]
NUM_POINTS = 500


@pytest.fixture
def injected(monkeypatch):
    """One set of points for each matched mask, in the order (image, layer, query)."""
    points = torch.rand(D * sum(COUNTS), NUM_POINTS, 2, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(point_sampling, 'uncertain_points', in_turn(points))
    return points


def points_of_layer(points, layer):
    """The points (sum(COUNTS), P, 2) of one decoder output, in the order (image, query)."""
    blocks = points.split([D * n for n in COUNTS])
    return torch.cat([block.view(D, n, NUM_POINTS, 2)[layer] for block, n in zip(blocks, COUNTS)])


def our_losses(model, images, targets):
    """Losses of every layer and kind (D,), the matches, and the gradients of all parameters."""
    output = model.extract(images)
    torch.manual_seed(0)
    matches = model.criterion.matcher(output, targets)
    losses = model.criterion.layer_losses(output, targets, matches)
    sum(loss.sum() for loss in losses.values()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    return losses, matches, gradients


def mmdet_losses(peer, images, samples, targets, matches, points, monkeypatch):
    features = peer.extract_feat(images)
    classes, masks = peer.panoptic_head(features, samples)
    calls = iter([(d, b) for d in range(D) for b in range(len(targets))])

    def assign(pred_instances, gt_instances, img_meta):
        d, b = next(calls)
        queries, segments = (x[d] for x in matches[b])
        gt_inds = torch.zeros(len(pred_instances), dtype=torch.long)
        gt_inds[queries] = segments + 1
        return AssignResult(len(gt_instances), gt_inds, None, labels=torch.zeros_like(gt_inds))

    layer_numbers = iter(range(D))
    monkeypatch.setattr(peer.panoptic_head.assigner, 'assign', assign)
    monkeypatch.setattr(
        mask2former_head,
        'get_uncertain_point_coords_with_randomness',
        lambda masks, *args: points_of_layer(points, next(layer_numbers)).to(masks.dtype),
    )
    # mmdet samples in float32 whatever the model's type.
    sample = mask2former_head.point_sample
    monkeypatch.setattr(
        mask2former_head, 'point_sample', lambda maps, where: sample(maps.to(images.dtype), where.to(images.dtype))
    )
    peer.panoptic_head.num_points = NUM_POINTS
    gt = [InstanceData(labels=t.labels, masks=t.masks.to(images.dtype)) for t in targets]
    losses = peer.panoptic_head.loss_by_feat(classes, masks, gt, [s.metainfo for s in samples])
    sum(losses.values()).backward()

    def layer(kind):
        values = [losses[f'd{d}.loss_{kind}'] for d in range(D - 1)] + [losses[f'loss_{kind}']]
        return torch.stack([value.squeeze() for value in values])

    gradients = {name: p.grad for name, p in peer.named_parameters() if p.requires_grad}
    return {'class': layer('cls'), 'mask': layer('mask'), 'dice': layer('dice')}, gradients


def transformers_losses(peer, images, samples, targets, matches, points, monkeypatch):
    output = peer.model(pixel_values=images, output_hidden_states=True)
    classes = [peer.class_predictor(x.transpose(0, 1)) for x in output.transformer_decoder_intermediate_states]
    criterion = peer.criterion
    criterion.empty_weight[-1] = 0.1  # it was rounded to float32
    losses, current = [], {}
    monkeypatch.setattr(
        criterion.matcher, 'forward', lambda *args: [(q[current['d']], s[current['d']]) for q, s in matches]
    )
    monkeypatch.setattr(
        criterion,
        'sample_points_using_uncertainty',
        lambda masks, *args: points_of_layer(points, current['d']).to(masks.dtype),
    )
    for d in range(D):
        current['d'] = d
        losses.append(
            criterion(
                output.masks_queries_logits[d],
                classes[d],
                [t.masks.to(images.dtype) for t in targets],
                [t.labels for t in targets],
            )
        )
    weighted = {
        kind: torch.stack([weight * layer[name] for layer in losses])
        for kind, name, weight in (
            ('class', 'loss_cross_entropy', 2.0),
            ('mask', 'loss_mask', 5.0),
            ('dice', 'loss_dice', 5.0),
        )
    }
    sum(loss.sum() for loss in weighted.values()).backward()
    gradients = {name: p.grad for name, p in peer.named_parameters() if p.requires_grad and p.grad is not None}
    return weighted, gradients


PEERS = {
    'mmdet': (build_mmdet, mmdet_losses, MMDET),
    'transformers': (build_transformers, transformers_losses, TRANSFORMERS),
}


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('peer', PEERS)
def test_losses_and_gradients(backbone, peer, injected, monkeypatch):
    build, run, key_map = PEERS[peer]
    if peer == 'mmdet':
        # mmdet's positions are float32 in a float64 model, too.
        for module in (layers, msdeform_attn_pixel_decoder):
            monkeypatch.setattr(module, 'full_dtype', lambda dtype: torch.float32)
    ours = build_ours(backbone).double()
    ours.criterion.num_points = ours.criterion.matcher.num_points = NUM_POINTS
    theirs = build(ours, backbone)
    images, samples = make_batch(COUNTS, (96, 128), dtype=torch.float64)
    targets = [sample.gt_segments for sample in samples]

    losses, matches, gradients = our_losses(ours, images, targets)
    other_losses, other_gradients = run(theirs, images, samples, targets, matches, injected, monkeypatch)

    # mmdet rounds targets to float32 in its dice loss and adds the eps of float32 to its denominators.
    tolerance = 1e-6 if peer == 'mmdet' else 1e-9
    for kind in losses:
        torch.testing.assert_close(losses[kind], other_losses[kind], rtol=tolerance, atol=1e-9)
    mapped = key_map.to_theirs(gradients)
    compared = 0
    for name, gradient in mapped.items():
        other = other_gradients[name]
        assert (gradient - other).norm() <= tolerance * other.norm() + 1e-10, name
        compared += 1
    assert compared > 200
