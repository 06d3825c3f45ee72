"""Batches at the edge: no segment, one, too many, tiny, all of the image; and what a batch is worth."""

import pytest
import torch
from mmengine.logging import MessageHub

from benchmarks.synthetic import smooth_masks
from mask2former.errors import NonFiniteError
from mask2former.models.criterion import point_sampling
from tests.tiny import CLASSES, build_tiny, random_images, sample_of

H, W = 64, 96
LOSSES = ('loss_class', 'loss_mask', 'loss_dice', 'loss_aux')
D, Q = 4, 5


def blobs(count, seed=0):
    return smooth_masks(count, H, W, torch.Generator().manual_seed(seed))


def one_pixel(y, x):
    mask = torch.zeros(1, H, W, dtype=torch.bool)
    mask[0, y, x] = True
    return mask


def with_empty(count, empty):
    """Blobs, and masks which a crop left without a pixel, in turn."""
    masks = torch.zeros(count + empty, H, W, dtype=torch.bool)
    masks[1 : 2 * count : 2] = blobs(count)
    return masks


NONE = torch.zeros(0, H, W, dtype=torch.bool)
BATCHES = {
    'no segment in one image': [blobs(3), NONE],
    'no segment in any image': [NONE, NONE],
    'one image without a segment': [NONE],
    'one segment': [blobs(1)],
    'as many segments as queries': [blobs(Q), blobs(Q, 1)],
    'more segments than queries': [blobs(2 * Q + 3), blobs(1)],
    'one pixel': [one_pixel(20, 30), one_pixel(H - 1, W - 1)],
    'all of the image': [torch.ones(1, H, W, dtype=torch.bool), torch.ones(2, H, W, dtype=torch.bool)],
    'the same segment twice': [blobs(1).repeat(2, 1, 1)],
    'some masks empty': [with_empty(2, 2), with_empty(1, Q + 1)],
    'all masks empty': [with_empty(0, 3), with_empty(0, 1)],
}


def samples_of(masks):
    return [sample_of(x, img_id=i) for i, x in enumerate(masks)]


@pytest.mark.parametrize('masks', BATCHES.values(), ids=BATCHES)
def test_losses_and_all_gradients_are_finite(masks):
    """A parameter without a gradient would also stop distributed training."""
    model = build_tiny()
    losses = model(random_images(len(masks)), samples_of(masks), mode='loss')
    assert set(losses) == set(LOSSES)
    assert all(loss.shape == () and loss.isfinite() and loss >= 0 for loss in losses.values())
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(losses.values()), rtol=1e-6, atol=0)
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    if not any(len(x) for x in masks):
        assert losses['loss_mask'] == losses['loss_dice'] == 0
        assert model.head.class_embed.weight.grad.abs().sum() > 0, 'no-object is still learnt'


def test_class_loss_without_segments_in_closed_form():
    """All queries should say no-object, and their weights cancel: the mean cross-entropy, times the loss weight."""
    model = build_tiny()
    images = random_images(2)
    losses = model(images, samples_of([NONE, NONE]), mode='loss')
    with torch.no_grad():
        log_probability = model.extract(images).class_logits.log_softmax(-1)[..., -1]  # (D, B, Q)
    expected = -2 * log_probability.mean((1, 2))
    torch.testing.assert_close(losses['loss_class'], expected[-1])
    torch.testing.assert_close(losses['loss_aux'], expected[:-1].sum())


@pytest.fixture
def same_points(monkeypatch):
    """The same points for every mask, so that losses do not depend on chance."""
    points = torch.rand(1, 64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    monkeypatch.setattr(
        point_sampling, 'random_points', lambda n, num_points, like, _: points[:, :num_points].expand(n, -1, -1)
    )
    monkeypatch.setattr(point_sampling, 'uncertain_points', lambda logits, *args: points.expand(len(logits), -1, -1))
    return points


def layer_losses(model, images, masks):
    output = model.extract(images)
    targets = [sample.gt_segments for sample in samples_of(masks)]
    return model.criterion.layer_losses(output, targets, model.criterion.matcher(output, targets))


@torch.no_grad()
@pytest.mark.parametrize('counts', [(1, 4), (0, 3), (2, 9), (0, 0)])
def test_a_batch_is_the_weighted_mean_of_its_images(counts, same_points):
    """Masks count by segment; classes by query, where no-object counts a tenth."""
    model = build_tiny().double()
    images = random_images(2).double()
    masks = [blobs(n, seed=n) if n else NONE for n in counts]
    batch = layer_losses(model, images, masks)
    first, second = (layer_losses(model, images[i : i + 1], masks[i : i + 1]) for i in range(2))
    matched = [min(n, Q) for n in counts]
    weights = {'class': [m + 0.1 * (Q - m) for m in matched], 'mask': counts, 'dice': counts}
    for kind, (a, b) in weights.items():
        expected = (a * first[kind] + b * second[kind]) / max(a + b, 1e-300)
        assert batch[kind].shape == (D,)
        torch.testing.assert_close(batch[kind], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('name', ['more segments than queries', 'some masks empty', 'all masks empty'])
def test_losses_and_gradients_equal_transformers(name, same_points, monkeypatch):
    """Segments that no query is left for still count in the denominator; empty masks are targets as any other."""
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    theirs = Mask2FormerLoss(Mask2FormerConfig(num_labels=len(CLASSES), train_num_points=64), {}).double()
    theirs.empty_weight[-1] = 0.1  # it was rounded to float32
    monkeypatch.setattr(
        theirs, 'sample_points_using_uncertainty', lambda masks, *args: same_points.expand(len(masks), -1, -1)
    )
    model = build_tiny().double()
    images, masks = random_images(2).double(), BATCHES[name]
    targets = [sample.gt_segments for sample in samples_of(masks)]
    output = model.extract(images)
    matches = model.criterion.matcher(output, targets)
    losses = model.criterion.layer_losses(output, targets, matches)
    their_total = 0
    for d in range(D):
        monkeypatch.setattr(theirs.matcher, 'forward', lambda *args, d=d: [(q[d], s[d]) for q, s in matches])
        expected = theirs(
            output.mask_logits(d),
            output.class_logits[d],
            [x.double() for x in masks],
            [target.labels for target in targets],
        )
        for kind, name, weight in (
            ('class', 'loss_cross_entropy', 2),
            ('mask', 'loss_mask', 5),
            ('dice', 'loss_dice', 5),
        ):
            loss = weight * expected[name].squeeze()
            torch.testing.assert_close(losses[kind][d], loss, rtol=1e-9, atol=0)
            their_total += loss
    total = sum(layer.sum() for layer in losses.values())
    inputs = [output.class_logits, output.mask_embed, output.mask_features]
    gradients, their_gradients = (torch.autograd.grad(x, inputs, retain_graph=True) for x in (total, their_total))
    for gradient, other in zip(gradients, their_gradients):
        assert gradient.isfinite().all() and gradient.any()
        torch.testing.assert_close(gradient, other, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_returned_losses_are_the_last_outputs_and_the_sum_of_the_others(same_points):
    model = build_tiny().double()
    images, masks = random_images(2).double(), [blobs(2), blobs(3, 1)]
    losses = model(images, samples_of(masks), mode='loss')
    layers = layer_losses(model, images, masks)
    for kind in ('class', 'mask', 'dice'):
        torch.testing.assert_close(losses[f'loss_{kind}'], layers[kind][-1])
    torch.testing.assert_close(losses['loss_aux'], sum(layer[:-1].sum() for layer in layers.values()))


def test_nan_in_training_names_iteration_and_images():
    model = build_tiny()
    torch.nn.init.constant_(model.head.layers[1].ffn.linear2.bias, float('nan'))
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 4711)
    samples = [sample_of(blobs(2), img_id=397133), sample_of(blobs(1), img_id=37777)]
    try:
        with pytest.raises(NonFiniteError, match=r'decoder outputs \[2, 3\] at iteration 4711, images 397133, 37777'):
            model(random_images(2), samples, mode='loss')
    finally:
        hub.pop_info('iter')


@pytest.mark.parametrize('size', [(32, 32), (32, 160), (224, 32)])
def test_predictions_of_small_and_narrow_images(size):
    model = build_tiny().eval()
    sample = sample_of(torch.zeros(0, *size, dtype=torch.bool))
    sample.set_metainfo(dict(img_shape=(size[0] - 15, size[1] - 9), ori_shape=(3, 5)))
    [result] = model(random_images(1, size), [sample], mode='predict')
    assert result.pred_panoptic_seg.id_map.shape == result.pred_sem_seg.sem_seg.shape == (1, 3, 5)
    assert all(mask['size'] == [3, 5] for mask in result.pred_instances.masks)
    assert len(result.pred_instances) > 0 and result.pred_instances.scores.isfinite().all()
    assert not any(result.pred_instances[key].requires_grad for key in ('scores', 'bboxes'))


def test_unknown_mode():
    with pytest.raises(ValueError, match="not 'train'"):
        build_tiny()(random_images(1), None, mode='train')
