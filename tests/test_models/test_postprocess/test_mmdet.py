"""Panoptic, instance and semantic results: equal to those of mmdet for the same predictions."""

import pytest
import torch
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from mask2former.formats.rle import as_rle
from mask2former.models import layers
from mask2former.models.masks import LazyMasks
from mask2former.models.pixel_decoder import msdeform_attn_pixel_decoder
from mask2former.models.postprocess import InstanceTopK, PanopticFusion
from tests.test_models.peers import build_mmdet, build_ours, make_batch

from .disc_scenes import ISTHING, SCENES, SIZES, K, assert_same_instances, by_score, predictions, scenes, sizes


def lazy(embed, features, size, **kwargs):
    return LazyMasks(embed, features, *SIZES[size], **kwargs)


def fusion_head(**test_cfg):
    return MaskFormerFusionHead(
        num_things_classes=sum(ISTHING), num_stuff_classes=K - sum(ISTHING), test_cfg=ConfigDict(test_cfg)
    )


def mmdet_predict(class_logits, embed, features, size, **test_cfg):
    """mmdet's results after its own cropping and resizing; the masks are enlarged as in its head's ``predict``."""
    batch_shape, img_shape, ori_shape = SIZES[size]
    masks = torch.einsum('qc,chw->qhw', embed, features)[None]
    masks = torch.nn.functional.interpolate(masks, size=batch_shape, mode='bilinear', align_corners=False)
    sample = DetDataSample(metainfo=dict(img_shape=img_shape, ori_shape=ori_shape))
    defaults = dict(
        panoptic_on=True,
        instance_on=True,
        semantic_on=False,
        filter_low_score=True,
        object_mask_thr=0.8,
        iou_thr=0.8,
        max_per_image=len(class_logits),
    )
    [results] = fusion_head(**{**defaults, **test_cfg}).predict(class_logits[None], masks, [sample], rescale=True)
    return results


def dense(values):
    """The same map with 0 for its smallest value, 1 for the next and so on."""
    return values.unique(return_inverse=True)[1].view_as(values)


def assert_same_panoptic(ours, theirs, isthing):
    """``ours`` has ids of segments, ``theirs`` (mmdet's) labels plus 1000 times the number of the instance."""
    id_map, infos, values = ours.id_map, ours.segments_info, theirs.sem_seg
    num_classes = len(isthing)
    assert id_map.shape == values.shape and id_map.dtype == torch.int32
    assert sorted(set(id_map.unique().tolist()) - {0}) == [info['id'] for info in infos]
    label_of = torch.tensor([num_classes] + [info['label'] for info in infos])
    assert torch.equal(label_of[id_map.long()], (values % 1000).long())
    assert [info['isthing'] for info in infos] == [isthing[info['label']] for info in infos]
    # Both number the things in the order of the queries; mmdet leaves a gap where an instance lost all its pixels.
    thing_ids = torch.tensor([0] + [info['id'] * isthing[info['label']] for info in infos])
    assert torch.equal(dense(thing_ids[id_map.long()]), dense(values // 1000))


@scenes
@sizes
def test_panoptic_equals_mmdet(name, size):
    queries, count = SCENES[name]
    class_logits, embed, features = predictions(queries)
    sample = DetDataSample()
    PanopticFusion()(class_logits, lazy(embed, features, size), ISTHING, sample)
    ours = sample.pred_panoptic_seg
    assert_same_panoptic(ours, mmdet_predict(class_logits, embed, features, size)['pan_results'], ISTHING)
    assert len(ours.segments_info) == count
    scores = [query.score for query in queries]
    assert all(min(abs(info['score'] - score) for score in scores) < 1e-12 for info in ours.segments_info)
    assert ours.id_map.shape[1:] == SIZES[size][2]


@pytest.mark.parametrize('score_thr', [0.0, 0.65, 0.94])
@pytest.mark.parametrize('overlap_thr', [0.0, 0.3, 0.99])
def test_panoptic_thresholds_equal_mmdet(score_thr, overlap_thr):
    for queries, _ in SCENES.values():
        class_logits, embed, features = predictions(queries)
        sample = DetDataSample()
        masks = lazy(embed, features, 'padded and enlarged')
        PanopticFusion(score_thr, overlap_thr)(class_logits, masks, ISTHING, sample)
        theirs = mmdet_predict(
            class_logits, embed, features, 'padded and enlarged', object_mask_thr=score_thr, iou_thr=overlap_thr
        )
        assert_same_panoptic(sample.pred_panoptic_seg, theirs['pan_results'], ISTHING)


def test_panoptic_leaves_pixels_outside_the_owner_s_mask_void():
    [query] = SCENES['an owner outside its own mask'][0]
    class_logits, embed, features = predictions([query])
    sample = DetDataSample()
    PanopticFusion()(class_logits, lazy(embed, features, 'as the batch'), ISTHING, sample)
    inside = (
        torch.nn.functional.interpolate(
            torch.einsum('qc,chw->qhw', embed, features)[None], size=(96, 128), mode='bilinear'
        )[0]
        >= 0
    )
    assert 0 < inside.sum() < inside.numel()
    assert torch.equal(sample.pred_panoptic_seg.id_map, inside.int())


@scenes
@sizes
def test_instances_equal_mmdet(name, size):
    class_logits, embed, features = predictions(SCENES[name][0])
    sample = DetDataSample()
    pairs = len(class_logits) + 2
    InstanceTopK(max_per_image=pairs)(class_logits, lazy(embed, features, size), ISTHING, sample)
    theirs = mmdet_predict(class_logits, embed, features, size, max_per_image=pairs)['ins_results']
    assert_same_instances(sample.pred_instances, theirs)
    assert all(mask['size'] == list(SIZES[size][2]) for mask in sample.pred_instances.masks)


def test_instances_of_every_pair_of_query_and_thing():
    class_logits, embed, features = predictions(SCENES['things only'][0])
    sample = DetDataSample()
    InstanceTopK(max_per_image=1000)(class_logits, lazy(embed, features, 'padded'), ISTHING, sample)
    theirs = mmdet_predict(class_logits, embed, features, 'padded', max_per_image=6 * K)['ins_results']
    assert len(sample.pred_instances) == 6 * sum(ISTHING)
    assert_same_instances(sample.pred_instances, theirs)


def test_instances_without_things():
    class_logits, embed, features = predictions(SCENES['one query'][0])
    sample = DetDataSample()
    InstanceTopK()(class_logits, lazy(embed, features, 'padded'), (False,) * K, sample)
    instances = sample.pred_instances
    assert instances.masks == [] and instances.bboxes.shape == (0, 4)
    assert len(instances.scores) == len(instances.labels) == 0


@pytest.mark.parametrize('score_thr', [0.3, 0.72, 0.9])
def test_instances_above_a_score(score_thr):
    """The threshold is one of the final score: class score times quality of the mask."""
    class_logits, embed, features = predictions(SCENES['things only'][0])
    everything, some = DetDataSample(), DetDataSample()
    masks = lazy(embed, features, 'padded')
    InstanceTopK()(class_logits, masks, ISTHING, everything)
    InstanceTopK(score_thr=score_thr)(class_logits, masks, ISTHING, some)
    expected = everything.pred_instances[everything.pred_instances.scores >= score_thr]
    assert len(expected) == {0.3: 6, 0.72: 3, 0.9: 0}[score_thr]
    assert_same_instances(some.pred_instances, expected)


@torch.no_grad()
def test_model_s_results_equal_mmdet(monkeypatch):
    # mmdet's positions are float32 in a float64 model, too.
    for module in (layers, msdeform_attn_pixel_decoder):
        monkeypatch.setattr(module, 'full_dtype', lambda dtype: torch.float32)
    ours = build_ours('r50').double()
    images, samples = make_batch([1, 1], (96, 128), dtype=torch.float64)
    # With random weights all queries are much alike and sure of nothing: draw them apart.
    output = ours.extract(images)
    for layer, factor, values in (
        (ours.head.class_embed, 60, output.class_logits),
        (ours.head.mask_embed[-1], 20, output.mask_embed),
    ):
        layer.weight.mul_(factor)
        layer.bias.sub_(values[-1].mean((0, 1))).mul_(factor)
    ours = ours.float().double()  # the peer is built in float32
    theirs = build_mmdet(ours, 'r50')
    panoptic, instance, _ = ours.postprocessors
    panoptic.score_thr, panoptic.overlap_thr, instance.max_per_image = 0.6, 0.05, 200
    theirs.panoptic_fusion_head.test_cfg.update(
        object_mask_thr=0.6, iou_thr=0.05, filter_low_score=True, panoptic_on=True, instance_on=True, max_per_image=200
    )
    mine = ours(images, [sample.clone() for sample in samples], mode='predict')
    other = theirs(images, [sample.clone() for sample in samples], mode='predict')
    for a, b in zip(mine, other):
        assert_same_panoptic(a.pred_panoptic_seg, b.pred_panoptic_seg, ours.isthing)
        assert len(a.pred_panoptic_seg.segments_info) >= 2
        x, y = by_score(a.pred_instances), by_score(b.pred_instances)
        assert len(x) == len(y) > 10
        torch.testing.assert_close(x.scores, y.scores, rtol=1e-9, atol=0)
        assert torch.equal(x.labels, y.labels) and x.masks == as_rle(y.masks) and torch.equal(x.bboxes, y.bboxes)
        assert a.pred_sem_seg.sem_seg.shape == a.pred_panoptic_seg.id_map.shape == (1, *a.ori_shape)
