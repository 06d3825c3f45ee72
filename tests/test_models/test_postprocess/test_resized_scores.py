"""Semantic results whose class scores are resized instead of the masks, as plain full-size arithmetic has them."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import SemanticInference, View
from mask2former.models.postprocess.plain import class_scores
from tests.test_models.random_masks import VIEWS, budgets, enlarged, factors, flipped, flips, resized, sizes


def merged(views, resize='scores'):
    sample = DetDataSample()
    SemanticInference(resize).merge_views(views, sample)
    return sample.pred_sem_seg.sem_seg[0]


def expected_scores(seed, img_shape, ori_shape, flips):
    class_logits, embed, features = factors(seed)
    scores = class_scores(class_logits, enlarged(embed, features)[:, : img_shape[0], : img_shape[1]])
    return flipped(resized(scores, ori_shape), flips)


@sizes
@flips
@budgets
def test_scores_of_one_view(size, flips, budget):
    class_logits, embed, features = factors()
    view = View(class_logits, LazyMasks(embed, features, (96, 128), *size, budget, flips))
    assert torch.equal(merged([view]), expected_scores(0, *size, flips).argmax(0))
    # Which of the two is resized does matter, where anything is.
    assert torch.equal(merged([view]), merged([view], 'masks')) == (size[0] == size[1])


@budgets
def test_scores_are_averaged_over_views(budget):
    ori_shape, views, scores = (131, 173), [], 0
    for seed, (img_shape, flip) in enumerate(VIEWS):
        class_logits, embed, features = factors(seed)
        views.append(View(class_logits, LazyMasks(embed, features, (96, 128), img_shape, ori_shape, budget, flip)))
        scores = scores + expected_scores(seed, img_shape, ori_shape, flip)
    assert torch.equal(merged(views), scores.argmax(0))
    assert not torch.equal(merged(views), merged(views[:1]))


@pytest.mark.parametrize('ori_shape', [(150, 200), (223, 311), (61, 90)])
@flips
@budgets
def test_scores_of_windows(ori_shape, flips, budget):
    windows = [((0, 90), (0, 120)), ((0, 90), (80, 200)), ((60, 150), (0, 120)), ((60, 150), (80, 200))]
    y, x = ((torch.arange(ori) + 0.5) * image / ori for ori, image in zip(ori_shape, (150, 200)))
    views, total = [], 0
    for seed, window in enumerate(windows):
        class_logits, embed, features = factors(seed)
        (top, bottom), (left, right) = window
        part = class_scores(class_logits, enlarged(embed, features)[:, : bottom - top, : right - left])
        # Beyond the window its edge goes on, so that nothing but the window says what is inside.
        whole = resized(F.pad(part, (left, 200 - right, top, 150 - bottom), mode='replicate'), ori_shape)
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
        total = total + flipped(whole * inside, flips)
        masks = LazyMasks(embed, features, (96, 128), (150, 200), ori_shape, budget, flips, window)
        views.append(View(class_logits, masks))
    views.sort(key=lambda view: view.masks.extent(0).start)
    assert torch.equal(merged(views), total.argmax(0))


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="'masks' or 'scores', not 'mask'"):
        SemanticInference('mask')
