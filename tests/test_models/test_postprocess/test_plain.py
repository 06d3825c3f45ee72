"""Masks formed in strips give what the published rules give on all masks at full size."""

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from mask2former.formats.rle import decode_mask
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, SemanticInference, plain
from tests.test_models.smooth_masks import ISTHING, K, budgets, full_size_logits, lazy, predict, predictions, sizes


@sizes
@budgets
@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('inside_mask', [True, False])
def test_panoptic(size, budget, seed, inside_mask):
    class_logits, embed, features = predictions(seed)
    fusion = PanopticFusion(score_thr=0.9, overlap_thr=0.1, inside_mask=inside_mask)
    found = predict(fusion, class_logits, lazy(embed, features, size, budget)).pred_panoptic_seg
    logits = full_size_logits(embed, features, size)
    id_map, infos = plain.panoptic_fusion(class_logits, logits, ISTHING, 0.9, 0.1, inside_mask)
    assert torch.equal(found.id_map, id_map[None]) and found.id_map.dtype == torch.int32
    assert found.segments_info == infos and len(infos) > 1
    assert all(
        type(info[key]) is kind
        for info in found.segments_info
        for key, kind in dict(id=int, label=int, isthing=bool, score=float).items()
    )


@pytest.mark.parametrize('isthing', [(False,) * K, (True,) * K])
@pytest.mark.parametrize('overlap_thr', [0.0, 0.1, 0.4])
def test_panoptic_of_one_class(isthing, overlap_thr):
    class_logits, embed, features = predictions()
    class_logits[:, 3] += 20
    found = predict(PanopticFusion(0, overlap_thr), class_logits, lazy(embed, features, 'padded'), isthing)
    logits = full_size_logits(embed, features, 'padded')
    id_map, infos = plain.panoptic_fusion(class_logits, logits, isthing, 0, overlap_thr)
    assert len(infos) == 1 if not isthing[0] else len(infos) >= 1
    assert torch.equal(found.pred_panoptic_seg.id_map[0], id_map)
    assert found.pred_panoptic_seg.segments_info == infos


@budgets
def test_panoptic_ties_go_to_the_first_query(budget):
    """Saturated masks of equal scores tie."""
    class_logits, embed, features = predictions(dtype=torch.float32)
    class_logits[:], embed[:, 1:] = 0, 0
    class_logits[:, 0], embed[:, 0] = 60, 40
    found = predict(PanopticFusion(), class_logits, lazy(embed, features, 'padded', budget)).pred_panoptic_seg
    assert found.segments_info == [dict(id=1, label=0, isthing=True, score=1.0)] and (found.id_map == 1).all()


@sizes
@budgets
def test_instances(size, budget):
    class_logits, embed, features = predictions()
    found = predict(InstanceTopK(40), class_logits, lazy(embed, features, size, budget)).pred_instances
    expected = plain.instance_top_k(class_logits, full_size_logits(embed, features, size), ISTHING, 40)
    assert len(found) == len(expected) > 10
    assert found.labels.tolist() == [label for label, _, _ in expected]
    # The area is divided by after adding 1e-6 in float32, as the reference does.
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], rtol=2e-6, atol=0)
    for rle, box, (_, _, mask) in zip(found.masks, found.bboxes.tolist(), expected):
        assert rle == mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
        y, x = np.nonzero(mask.numpy())
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
    assert any(not mask.any() for _, _, mask in expected) and any(mask.all() for _, _, mask in expected)


def test_instances_of_one_query_share_nothing():
    class_logits, embed, features = predictions()
    masks = predict(InstanceTopK(40), class_logits, lazy(embed, features, 'padded')).pred_instances.masks
    assert len({id(mask) for mask in masks}) == len(masks) > len({mask['counts'] for mask in masks})


@sizes
@budgets
def test_semantic(size, budget):
    class_logits, embed, features = predictions()
    found = predict(SemanticInference(), class_logits, lazy(embed, features, size, budget)).pred_sem_seg.sem_seg
    expected = plain.semantic_inference(class_logits, full_size_logits(embed, features, size))
    assert torch.equal(found, expected[None]) and len(expected.unique()) > 1


def test_no_query_is_kept():
    class_logits, embed, features = predictions()
    masks = lazy(embed, features, 'padded and enlarged')
    found = predict(PanopticFusion(score_thr=1.0), class_logits, masks).pred_panoptic_seg
    assert found.id_map.shape == (1, 311, 405) and not found.id_map.any() and found.segments_info == []
    assert found.id_map.dtype == torch.int32
    found = predict(InstanceTopK(score_thr=1.0), class_logits, masks).pred_instances
    assert found.masks == [] and found.bboxes.shape == (0, 4) and len(found) == 0


def test_float32_keeps_the_results_of_float64():
    """At a size where every pixel counts: no mask's sign flips, no owner changes but where two queries tie."""
    class_logits, embed, features = predictions()
    samples = []
    for dtype in (torch.float64, torch.float32):
        masks = lazy(embed.to(dtype), features.to(dtype), 'padded and enlarged')
        sample = predict(PanopticFusion(0.9, 0.1), class_logits.to(dtype), masks)
        InstanceTopK(40)(class_logits.to(dtype), masks, ISTHING, sample)
        samples.append(sample)
    exact, single = samples
    changed = exact.pred_panoptic_seg.id_map != single.pred_panoptic_seg.id_map
    assert changed.sum() <= 2
    for a, b in zip(exact.pred_instances.masks, single.pred_instances.masks, strict=True):
        assert (decode_mask(a) != decode_mask(b)).sum() <= 1
    torch.testing.assert_close(exact.pred_instances.scores.float(), single.pred_instances.scores, rtol=3e-6, atol=0)
