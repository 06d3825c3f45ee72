"""Class scores averaged over views, as plain full-size arithmetic has them; postprocessing under autocast."""

import torch
from mmdet.structures import DetDataSample

from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import SemanticInference, View
from mask2former.models.postprocess.plain import class_scores
from tests.test_models.random_masks import VIEWS, budgets, enlarged, factors, flipped, resized
from tests.tiny import build_tiny


def merged(views):
    sample = DetDataSample()
    SemanticInference().merge_views(views, sample)
    return sample.pred_sem_seg.sem_seg[0]


@budgets
def test_scores_are_averaged_over_views(budget):
    ori_shape, views, scores = (131, 173), [], 0
    for seed, (img_shape, flips) in enumerate(VIEWS):
        class_logits, embed, features = factors(seed)
        views.append(View(class_logits, LazyMasks(embed, features, (96, 128), img_shape, ori_shape, budget, flips)))
        logits = resized(enlarged(embed, features)[:, : img_shape[0], : img_shape[1]], ori_shape)
        scores = scores + class_scores(class_logits, flipped(logits, flips))
    found = merged(views)
    assert torch.equal(found, scores.argmax(0))
    assert not torch.equal(found, merged(views[:1]))


def test_views_have_weights():
    views, scores = [], 0
    generator = torch.Generator().manual_seed(0)
    for seed in range(2):
        class_logits, embed, features = factors(seed)
        down, across = (torch.rand(size, generator=generator, dtype=torch.float64) for size in (90, 117))
        views.append(
            View(class_logits, LazyMasks(embed, features, (96, 128), (90, 117), (90, 117), 2**14), (down, across))
        )
        scores = scores + class_scores(class_logits, enlarged(embed, features)[:, :90, :117]) * down[:, None] * across
    assert torch.equal(merged(views), scores.argmax(0))


@budgets
def test_a_view_twice_is_the_view(budget):
    class_logits, embed, features = factors()
    view = View(class_logits, LazyMasks(embed, features, (96, 128), (90, 117), (90, 117), budget))
    sample = DetDataSample()
    SemanticInference()(*view[:2], (), sample)
    assert torch.equal(merged([view, view]), sample.pred_sem_seg.sem_seg[0])


def test_masks_are_formed_in_full_precision_under_autocast():
    model = build_tiny().eval()
    output = model.extract(torch.rand(1, 3, 64, 96)).full_precision()
    model.extract = lambda inputs: output
    samples = []
    for enabled in (False, True):
        sample = DetDataSample(metainfo=dict(img_shape=(60, 90), ori_shape=(120, 180)))
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            samples += model(torch.zeros(1, 3, 64, 96), [sample], mode='predict')
    plain, mixed = samples
    assert torch.equal(plain.pred_instances.scores, mixed.pred_instances.scores)
    assert plain.pred_instances.masks == mixed.pred_instances.masks
    assert torch.equal(plain.pred_panoptic_seg.id_map, mixed.pred_panoptic_seg.id_map)
    assert torch.equal(plain.pred_sem_seg.sem_seg, mixed.pred_sem_seg.sem_seg)
