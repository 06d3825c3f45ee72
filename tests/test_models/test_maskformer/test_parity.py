"""Same weights: the logits, losses, gradients and results of transformers' and mmdet's MaskFormer."""

import pytest
import torch
from mmengine.structures import InstanceData

from mask2former.checkpoints.convert import convert_raw
from mask2former.checkpoints.keys_maskformer import MMDET
from mask2former.checkpoints.read import RawCheckpoint

from .small import BACKBONES, D, build_mmdet, build_small, build_transformers, make_batch

COUNTS = [3, 0, 9]  # of the last image, more than there are queries


def with_weights_of(peer, backbone, encoder=False):
    """Our model with the weights of a peer."""
    converted = convert_raw(RawCheckpoint(dict(peer.state_dict()), {}, {}), 'peer')
    ours = build_small(backbone, encoder)
    ours.load_state_dict(converted.state, strict=True)
    assert converted.report.architecture.member == ('maskformer-encoder' if encoder else 'maskformer')
    return ours.double(), peer.double()


def assert_same_gradients(ours, theirs):
    """Of all weights, ``theirs`` under our names."""
    mine = {name: p.grad for name, p in ours.named_parameters() if p.requires_grad}
    assert mine.keys() == theirs.keys()
    for name, gradient in mine.items():
        scale = theirs[name].abs().max()
        torch.testing.assert_close(gradient, theirs[name], rtol=0, atol=max(1e-8, 1e-7 * scale.item()), msg=name)


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.filterwarnings('ignore')
def test_transformers(backbone):
    ours, peer = with_weights_of(build_transformers(backbone), backbone)
    images, samples = make_batch(COUNTS)
    targets = [sample.gt_segments for sample in samples]
    theirs = peer(
        pixel_values=images,
        mask_labels=[target.masks.double() for target in targets],
        class_labels=[target.labels for target in targets],
    )
    output = ours.extract(images)
    assert len(output.class_logits) == D
    torch.testing.assert_close(output.class_logits[-1], theirs.class_queries_logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(output.mask_logits(), theirs.masks_queries_logits, rtol=0, atol=1e-8)
    assert theirs.masks_queries_logits.std() > 0.1

    losses = ours.criterion(output, targets)
    mine = losses['loss_class'] + losses['loss_mask'] + losses['loss_dice']  # theirs without the other layers
    torch.testing.assert_close(mine, theirs.loss, rtol=1e-9, atol=0)
    mine.backward()
    theirs.loss.backward()
    gradients = {name: p.grad for name, p in peer.named_parameters() if p.grad is not None}
    converted = convert_raw(RawCheckpoint(dict(peer.state_dict()) | gradients, {}, {}), 'peer').state
    trained = {name for name, p in ours.named_parameters() if p.grad is not None}
    assert_same_gradients(ours, {name: converted[name] for name in trained})


@pytest.mark.parametrize('encoder', [False, True], ids=['fpn', 'encoder'])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_mmdet(backbone, encoder, monkeypatch):
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)  # mmdet's costs are float32 whatever comes in
    ours, peer = with_weights_of(build_mmdet(backbone, encoder), backbone, encoder)
    # mmdet divides by the number of matched queries, at least one an image; here that is the number of segments.
    images, samples = make_batch([3, 6])
    targets = [sample.gt_segments for sample in samples]
    classes, masks = peer.panoptic_head(peer.extract_feat(images), samples)
    output = ours.extract(images)
    # mmdet's position encodings are float32.
    torch.testing.assert_close(output.class_logits, classes, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.stack([output.mask_logits(d) for d in range(D)]), masks, rtol=0, atol=1e-4)
    assert masks.std() > 0.1

    gt = [InstanceData(labels=target.labels, masks=target.masks.long()) for target in targets]
    theirs = peer.panoptic_head.loss_by_feat(classes, masks, gt, [sample.metainfo for sample in samples])
    losses = ours.criterion(output, targets)
    for kind, name in (('class', 'cls'), ('mask', 'mask'), ('dice', 'dice')):
        torch.testing.assert_close(losses[f'loss_{kind}'], theirs[f'loss_{name}'].squeeze(), rtol=1e-5, atol=0)
    aux = sum(value.squeeze() for name, value in theirs.items() if name.startswith('d'))
    torch.testing.assert_close(losses['loss_aux'], aux, rtol=1e-5, atol=0)
    sum(losses.values()).backward()
    sum(theirs.values()).backward()
    keys = MMDET['maskformer-encoder' if encoder else 'maskformer']
    gradients = keys.to_ours({name: p.grad for name, p in peer.named_parameters() if p.grad is not None})
    trained = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    assert trained.keys() == gradients.keys()
    for name, gradient in trained.items():
        tolerance = 1e-4 * gradients[name].abs().max().item() + 1e-6
        torch.testing.assert_close(gradient, gradients[name], rtol=0, atol=tolerance, msg=name)


def sure_output(seed):
    """Class and mask logits of one image, most queries sure of a class."""
    generator = torch.Generator().manual_seed(seed)
    class_logits = torch.randn(12, 6, generator=generator, dtype=torch.float64) * 4
    class_logits[:, -1] -= 3
    coarse = torch.randn(1, 12, 5, 6, generator=generator, dtype=torch.float64) * 3 - 2
    return class_logits, torch.nn.functional.interpolate(coarse, size=(40, 52), mode='bicubic')[0]


@pytest.mark.parametrize('seed', range(4))
def test_panoptic_results_of_mmdet(seed):
    from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead
    from mmengine.config import ConfigDict

    from mask2former.models.postprocess import plain

    config = ConfigDict(object_mask_thr=0.3, iou_thr=0.2, filter_low_score=False)
    peer = MaskFormerFusionHead(num_things_classes=3, num_stuff_classes=2, test_cfg=config)
    class_logits, mask_logits = sure_output(seed)
    theirs = peer.panoptic_postprocess(class_logits, mask_logits).sem_seg[0]  # (H, W): label + 1000 * instance
    id_map, infos = plain.panoptic_fusion(class_logits, mask_logits, (True,) * 3 + (False,) * 2, 0.3, 0.2, False)
    assert len(infos) > 2
    labels = torch.tensor([5] + [info['label'] for info in infos])
    assert torch.equal(labels[id_map.long()], theirs.long() % 1000)
    for info in infos:
        theirs_ids = theirs[id_map == info['id']].unique()
        assert len(theirs_ids) == 1 and ((theirs == theirs_ids) == (id_map == info['id'])).all()
    inside, _ = plain.panoptic_fusion(class_logits, mask_logits, (True,) * 3 + (False,) * 2, 0.3, 0.2)
    assert not torch.equal(inside, id_map), 'the two rules differ here'
