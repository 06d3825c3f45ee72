"""Panoptic, instance and semantic results: equal to those of transformers for the same predictions."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample

from mask2former.formats.rle import as_rle
from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, SemanticInference

from .disc_scenes import GRASS, ISTHING, SCENES, SKY, K, by_score, predictions, scenes

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
