"""Semantic maps by bounds of the class scores against those by all scores. Other tests compare them with peers."""

import pytest
import torch
from mmdet.structures import DetDataSample

from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import SemanticInference, certain_classes
from mask2former.models.postprocess.merge import View

Q, K, C, h, w = 12, 9, 16, 24, 32
# batch_shape, img_shape, ori_shape
SIZES = [
    ((96, 128), (96, 128), (96, 128)),
    ((96, 128), (90, 117), (131, 203)),
    ((96, 128), (95, 103), (57, 15)),
    ((96, 128), (96, 128), (1, 1)),
]


def by_all_scores(class_logits, masks):
    sample = DetDataSample()
    SemanticInference().merge_views([View(class_logits, masks)], sample)
    return sample.pred_sem_seg.sem_seg


def by_bounds(class_logits, masks):
    sample = DetDataSample()
    SemanticInference()(class_logits, masks, (), sample)
    return sample.pred_sem_seg.sem_seg


def random_scene(sure, dtype=torch.float64):
    """Class logits and factors of masks; the surer, the more pixels are decided by the bounds."""
    generator = torch.Generator().manual_seed(1)
    class_logits = torch.randn(Q, K + 1, generator=generator, dtype=dtype) * sure
    coarse = torch.randn(1, C, h // 8, w // 8, generator=generator, dtype=dtype)
    features = torch.nn.functional.interpolate(coarse, size=(h, w), mode='bilinear')[0] * sure
    return class_logits, torch.randn(Q, C, generator=generator, dtype=dtype), features


@pytest.mark.parametrize('sure', [0.1, 1, 3, 10])
@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('flips', [(False, False), (True, False), (False, True)], ids=str)
def test_classes_are_those_of_all_scores(sure, size, flips):
    class_logits, embed, features = random_scene(sure)
    for max_bytes in (None, 2**13):  # one strip, and many
        masks = LazyMasks(embed, features, *size, flips=flips, max_bytes=max_bytes)
        assert torch.equal(by_bounds(class_logits, masks), by_all_scores(class_logits, masks))


def test_only_what_may_win_is_computed(monkeypatch):
    scores = []

    def watch(x, weight):
        if weight.shape[1] == Q:  # its products are scores or their bounds
            scores.append(x.shape[0] * weight.shape[0])
        return linear(x, weight)

    linear = certain_classes.linear
    monkeypatch.setattr(certain_classes, 'linear', watch)
    masks = LazyMasks(*random_scene(10)[1:], (96, 128), (96, 128), (960, 1280))
    found = by_bounds(random_scene(10)[0], masks)
    assert len(found.unique()) > 3
    assert 0 < sum(scores) < 0.5 * K * 960 * 1280, sum(scores) / K / 960 / 1280


def test_of_equal_scores_the_first_class_wins():
    class_logits, embed, features = random_scene(3)
    class_logits[:, 5] = class_logits[:, 2] = class_logits.amax(1) + 1
    masks = LazyMasks(embed, features, *SIZES[1])
    assert (by_bounds(class_logits, masks) == 2).all()


def test_float32_differs_only_where_scores_are_equal_to_rounding():
    class_logits, embed, features = random_scene(3, torch.float32)
    masks = LazyMasks(embed, features, *SIZES[1])
    exact = by_all_scores(class_logits.double(), LazyMasks(embed.double(), features.double(), *SIZES[1]))
    assert (by_bounds(class_logits, masks) != exact).float().mean() < 1e-3
