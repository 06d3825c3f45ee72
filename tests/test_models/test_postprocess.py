"""Panoptic, instance and semantic results: equal to those of mmdet and of transformers for the same predictions."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from mask2former.formats.rle import as_rle
from mask2former.models import layers
from mask2former.models.pixel_decoder import msdeform_attn_pixel_decoder
from mask2former.models.postprocess import InstanceTopK, LazyMasks, PanopticFusion, SemanticInference

from .peers import build_mmdet, build_ours, make_batch

ISTHING = (True, True, True, False, False)  # mmdet wants the things first
K = len(ISTHING)
SKY, GRASS, NOTHING = 3, 4, K
h, w = 24, 32


class Query(NamedTuple):
    """A query that is sure of a disc: its centre and radius on the map (h, w), and the class score."""

    label: int
    x: float
    y: float
    radius: float
    score: float = 0.95


# Queries of each scene, and how many segments it must have.
SCENES = {
    'things, stuff and no-object': (
        [
            Query(0, 8, 8, 5, 0.99),
            Query(1, 22, 9, 6, 0.97),
            Query(SKY, 16, -2, 9, 0.9),
            Query(NOTHING, 16, 18, 6),
            Query(GRASS, 16, 26, 10, 0.93),
            Query(0, 27, 20, 4, 0.5),
        ],
        4,
    ),
    'one stuff class three times': (
        [Query(2, 16, 12, 4), Query(SKY, 5, 5, 5, 0.9), Query(SKY, 26, 5, 5), Query(SKY, 16, 22, 4, 0.85)],
        2,
    ),
    'overlaps': (
        [Query(0, 12, 12, 8, 0.99), Query(0, 13, 12, 8, 0.9), Query(1, 15, 13, 7.5, 0.95), Query(SKY, 24, 12, 6)],
        2,
    ),
    'two of a stuff class, one hidden': ([Query(SKY, 9, 9, 6, 0.99), Query(SKY, 9, 9, 5, 0.9), Query(0, 23, 9, 6)], 2),
    'things only': (
        [Query(i % 3, 6 + 9 * (i % 3), 7 + 10 * (i // 3), 4 + 0.3 * i, 0.9 + 0.01 * i) for i in range(6)],
        6,
    ),
    'a mask without a pixel': ([Query(0, 10, 12, 6), Query(1, 25, 12, -1, 0.99)], 1),
    'an owner outside its own mask': ([Query(SKY, 16, 12, 5)], 1),
    # The second owns what lies far to the right of both, but no pixel of its own mask.
    'an owner outside its own mask only': ([Query(1, 8.8, 12, 5, 0.99), Query(0, 11, 12, 3, 0.85)], 1),
    'one query': ([Query(1, 10, 10, 7)], 1),
    'no-object only': ([Query(NOTHING, 10, 10, 7), Query(NOTHING, 20, 10, 7)], 0),
    'weak queries only': ([Query(0, 10, 10, 7, 0.6), Query(SKY, 20, 10, 7, 0.7)], 0),
}
# batch_shape, img_shape, ori_shape
SIZES = {
    'as the batch': ((96, 128), (96, 128), (96, 128)),
    'padded': ((96, 128), (90, 117), (90, 117)),
    'padded and enlarged': ((96, 128), (87, 121), (131, 173)),
    'padded and reduced': ((96, 128), (95, 103), (57, 63)),
}
scenes = pytest.mark.parametrize('name', SCENES)
sizes = pytest.mark.parametrize('size', SIZES)


def predictions(queries, dtype=torch.float64):
    """Class logits (Q, K + 1), mask embeddings (Q, C) and mask features (C, h, w) of a scene."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.tensor([q.score for q in queries], dtype=dtype)
    labels = torch.tensor([q.label for q in queries])
    # The rest of the probability goes to the other classes, unevenly, so that no two pairs of a score tie.
    rest = torch.rand(len(queries), K + 1, generator=generator, dtype=dtype) + 0.5
    rest[torch.arange(len(queries)), labels] = 0
    probability = rest / rest.sum(1, keepdim=True) * (1 - scores)[:, None]
    probability[torch.arange(len(queries)), labels] = scores

    y, x = torch.meshgrid(torch.arange(h, dtype=dtype), torch.arange(w, dtype=dtype), indexing='ij')
    logits = torch.stack([q.radius - torch.hypot(x - q.x, y - q.y) for q in queries])  # (Q, h, w)
    embed = torch.randn(len(queries), len(queries), generator=generator, dtype=dtype)
    return probability.log(), embed, torch.linalg.solve(embed, logits.flatten(1)).view_as(logits)


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


def by_score(instances):
    return instances[instances.scores.argsort(descending=True)]


def assert_same_instances(ours, theirs):
    assert len(ours) == len(theirs)
    ours, theirs = by_score(ours), by_score(theirs)
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-12, atol=0)
    for key in ('labels', 'bboxes'):
        assert torch.equal(ours[key], theirs[key]), key
    assert ours.masks == as_rle(theirs.masks)


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


# transformers' postprocessing goes through 384 x 384 whatever the input was, so that is the size of everything here.
HF_SIZE = ((384, 384),) * 3


@pytest.fixture
def transformers_processor():
    from transformers import Mask2FormerImageProcessorPil

    return Mask2FormerImageProcessorPil()


def transformers_output(class_logits, embed, features):
    masks = torch.einsum('qc,chw->qhw', embed, features)
    return SimpleNamespace(class_queries_logits=class_logits[None], masks_queries_logits=masks[None])


@scenes
def test_semantic_equals_transformers(name, transformers_processor):
    class_logits, embed, features = predictions(SCENES[name][0])
    sample = DetDataSample()
    SemanticInference()(class_logits, LazyMasks(embed, features, *HF_SIZE), ISTHING, sample)
    [theirs] = transformers_processor.post_process_semantic_segmentation(
        transformers_output(class_logits, embed, features)
    )
    assert torch.equal(sample.pred_sem_seg.sem_seg, theirs[None])
    if name == 'things, stuff and no-object':
        assert set(theirs.unique().tolist()) == set(range(K)) - {2}


@scenes
def test_semantic_of_resized_scores_equals_transformers(name, transformers_processor):
    class_logits, embed, features = predictions(SCENES[name][0])
    sample = DetDataSample()
    SemanticInference('scores')(class_logits, LazyMasks(embed, features, *HF_SIZE[:2], (301, 517)), ISTHING, sample)
    [theirs] = transformers_processor.post_process_semantic_segmentation(
        transformers_output(class_logits, embed, features), target_sizes=[(301, 517)]
    )
    assert torch.equal(sample.pred_sem_seg.sem_seg, theirs[None])


@scenes
def test_instances_equal_transformers(name, transformers_processor):
    """Of classes that are all things; transformers rounds scores to six digits and drops empty masks."""
    class_logits, embed, features = predictions(SCENES[name][0])
    sample = DetDataSample()
    InstanceTopK(len(class_logits))(class_logits, LazyMasks(embed, features, *HF_SIZE), (True,) * K, sample)
    [theirs] = transformers_processor.post_process_instance_segmentation(
        transformers_output(class_logits, embed, features), threshold=0.0, return_binary_maps=True
    )
    ours = by_score(sample.pred_instances)
    ours = ours[ours.bboxes.any(1)]
    order = sorted(range(len(ours)), key=lambda i: -theirs['segments_info'][i]['score'])
    infos = [theirs['segments_info'][i] for i in order]
    assert len(ours) == len(theirs['segments_info']) > 0
    assert ours.labels.tolist() == [info['label_id'] for info in infos]
    expected = torch.tensor([info['score'] for info in infos], dtype=torch.float64)
    torch.testing.assert_close(ours.scores, expected, rtol=0, atol=5.1e-7)
    maps = theirs['segmentation']
    assert ours.masks == as_rle((maps if maps.ndim == 3 else maps[None])[order].bool())


@scenes
def test_panoptic_equals_transformers(name, transformers_processor):
    """transformers also gives a segment the pixels that it owns outside its own mask; the reference for COCO does not.

    Therefore, the two are compared where the owner's mask is at least 0.5; the other pixels are void here.
    """
    class_logits, embed, features = predictions(SCENES[name][0])
    sample = DetDataSample()
    PanopticFusion()(class_logits, LazyMasks(embed, features, *HF_SIZE), ISTHING, sample)
    [theirs] = transformers_processor.post_process_panoptic_segmentation(
        transformers_output(class_logits, embed, features),
        threshold=0.8,
        overlap_mask_area_threshold=0.8,
        label_ids_to_fuse={SKY, GRASS},
    )
    id_map, infos = sample.pred_panoptic_seg.id_map[0], sample.pred_panoptic_seg.segments_info
    if not infos:
        assert not theirs['segments_info'] and not id_map.any()
        return
    scores, labels = class_logits.softmax(-1).max(-1)
    kept = (labels != K) & (scores > 0.8)
    masks = torch.nn.functional.interpolate(
        torch.einsum('qc,chw->qhw', embed, features)[None], size=(384, 384), mode='bilinear'
    )[0, kept].sigmoid()
    owner = (scores[kept, None, None] * masks).argmax(0, keepdim=True)
    inside = masks.gather(0, owner)[0] >= 0.5
    assert torch.equal(id_map[inside], theirs['segmentation'][inside])
    assert not id_map[~inside].any()
    # It lists a fused segment once for each of its queries, and those that have no other pixels.
    visible = set(theirs['segmentation'][inside].tolist())
    first = {}
    for info in theirs['segments_info']:
        if info['id'] in visible:
            first.setdefault(info['id'], (info['id'], info['label_id'], info['score']))
    assert [(info['id'], info['label'], round(info['score'], 6)) for info in infos] == list(first.values())


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
