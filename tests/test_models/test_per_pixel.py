"""The per-pixel baselines: heads, loss and results are those of their plain formulas."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mask2former.models import MaskedAttentionHead, PerPixelHead
from mask2former.models.criterion import PerPixelCriterion
from mask2former.models.head import HeadOutput
from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import PerPixelInference, View
from mask2former.models.postprocess.plain import full_size_logits
from mask2former.registry import MODELS

from .test_maskformer.small import CLASSES, per_pixel_config, small_config

B, D, K, C, h, w, H, W = 2, 3, 5, 4, 6, 8, 24, 32


def make_output(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    class_logits = torch.zeros(D, B, K, K + 1, dtype=dtype)
    embed = 3 * torch.randn(D, B, K, C, generator=generator, dtype=dtype)
    return HeadOutput(class_logits, embed, torch.randn(B, C, h, w, generator=generator, dtype=dtype))


def make_targets():
    """Class maps with pixels of no class, and their segments."""
    maps = torch.randint(-1, K, (B, H, W), generator=torch.Generator().manual_seed(1))
    labels = [classes.unique()[1:] for classes in maps]
    return maps, [
        InstanceData(labels=present, masks=classes == present[:, None, None]) for classes, present in zip(maps, labels)
    ]


def test_the_baseline_is_a_convolution():
    head = PerPixelHead(K, embed_dims=7, mask_dims=C, num_levels=3).double()
    head.init_weights()
    assert head.classifier.weight.std() > 0 and head.classifier.bias.abs().max() == 0
    head.classifier.bias.data.normal_()
    features = make_output().mask_features
    output = head(features, [])
    torch.testing.assert_close(output.mask_logits(), head.classifier(features), rtol=1e-12, atol=1e-12)
    assert torch.equal(output.class_logits.softmax(-1), torch.eye(K, K + 1).double().expand(1, B, -1, -1))


def test_baseline_plus_is_a_maskformer_that_knows_its_classes():
    torch.manual_seed(0)
    config = dict(small_config('resnet')['head'], embed_dims=32, mask_dims=32, num_levels=1)
    maskformer = MODELS.build(dict(config, num_classes=K, num_queries=K))
    plus = MODELS.build(dict(config, num_classes=K, num_queries=None))
    weights = {name: x for name, x in maskformer.state_dict().items() if not name.startswith('class_embed.')}
    plus.load_state_dict(weights)
    assert isinstance(plus, MaskedAttentionHead)
    features, memory = torch.randn(B, 32, h, w), [torch.randn(B, 32, 3, 4)]
    ours, theirs = plus(features, memory), maskformer(features, memory)
    assert torch.equal(ours.mask_embed, theirs.mask_embed)
    assert torch.equal(ours.class_logits.softmax(-1)[0, 0], torch.eye(K, K + 1))


def test_the_loss_and_its_gradients_are_those_of_cross_entropy():
    maps, targets = make_targets()
    found = []
    for ours in (True, False):
        output = HeadOutput(*(x.requires_grad_() for x in make_output()[:3]))
        if ours:
            losses = PerPixelCriterion(K)(output, targets)
        else:
            enlarged = (
                F.interpolate(output.mask_logits(d), size=(H, W), mode='bilinear', align_corners=False)
                for d in range(D)
            )
            each = [F.cross_entropy(x, maps, ignore_index=-1) for x in enlarged]
            losses = dict(loss_pixel=each[-1], loss_aux=sum(each[:-1]))
        total = losses['loss_pixel'] + 3 * losses['loss_aux']
        found.append([*losses.values(), *torch.autograd.grad(total, (output.mask_embed, output.mask_features))])
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_images_without_a_segment_give_no_loss():
    output = HeadOutput(*(x.requires_grad_() for x in make_output()[:3]))
    nothing = InstanceData(labels=torch.zeros(0, dtype=torch.int64), masks=torch.zeros(0, H, W, dtype=torch.bool))
    losses = PerPixelCriterion(K)(output, [nothing, nothing])
    assert losses['loss_pixel'] == losses['loss_aux'] == 0
    assert torch.autograd.grad(losses['loss_pixel'], output.mask_features)[0].abs().max() == 0


@pytest.mark.parametrize('scale', [1, 100])
def test_results_are_the_classes_of_the_highest_logits(scale):
    """Also where probabilities would all be one."""
    output = make_output(torch.float32)
    embed, features = output.mask_embed[-1, 0] * scale, output.mask_features[0]
    shapes = dict(img_shape=(21, 30), ori_shape=(53, 71))
    sample = DetDataSample()
    masks = LazyMasks(embed, features, (H, W), **shapes)
    PerPixelInference().merge_views([View(output.class_logits[-1, 0], masks)], sample)
    expected = full_size_logits(embed, features, (H, W), **shapes).argmax(0)
    assert (sample.pred_sem_seg.sem_seg[0] == expected).float().mean() > 0.999
    assert len(expected.unique()) == K


@pytest.mark.parametrize('plus', [False, True])
def test_a_step_and_a_prediction(plus):
    model = MODELS.build(per_pixel_config(plus))
    model.init_weights()
    sample = DetDataSample(metainfo=dict(img_shape=(64, 90), ori_shape=(50, 70)))
    masks = torch.zeros(2, 64, 96, dtype=torch.bool)
    masks[0, :30], masks[1, 30:, :80] = True, True
    sample.gt_segments = InstanceData(labels=torch.tensor([1, 4]), masks=masks)
    inputs = torch.randn(1, 3, 64, 96)
    losses = model(inputs, [sample], mode='loss')
    assert set(losses) == {'loss_pixel', 'loss_aux'} and (losses['loss_aux'] > 0) == plus
    sum(losses.values()).backward()
    assert [name for name, x in model.named_parameters() if x.requires_grad and x.grad is None] == []
    class_logits, mask_logits = model(inputs)
    assert class_logits.shape == (1, 5, 6) and mask_logits.shape == (1, 5, 16, 24)
    [result] = model.eval()(inputs, [sample], mode='predict')
    assert result.pred_sem_seg.sem_seg.shape == (1, 50, 70) and len(CLASSES) == 5
