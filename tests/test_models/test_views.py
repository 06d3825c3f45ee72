"""Masks of flipped images and of windows, and class scores averaged over views, as plain full-size arithmetic has
them."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.models.postprocess import LazyMasks, SemanticInference, View

K, Q, C, h, w = 4, 6, 5, 24, 32
INDEX = torch.tensor([4, 0, 3])
# img_shape, ori_shape; the padded input is 96 x 128
SIZES = {
    'as it came': ((96, 128), (96, 128)),
    'padded': ((90, 117), (90, 117)),
    'enlarged': ((87, 121), (131, 173)),
    'reduced': ((95, 103), (57, 63)),
}
sizes = pytest.mark.parametrize('size', SIZES.values(), ids=SIZES)
flips = pytest.mark.parametrize('flips', list(itertools.product((False, True), repeat=2)))
budgets = pytest.mark.parametrize('budget', [1, 2**14, 2**30])


def factors(seed=0, dtype=torch.float64):
    """Class logits (Q, K + 1), mask embeddings (Q, C) and mask features (C, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype) * 2 for shape in [(Q, K + 1), (Q, C), (C, h, w)]]


def enlarged(embed, features):
    """Mask logits (Q, 96, 128)."""
    low = torch.einsum('qc,chw->qhw', embed, features)[None]
    return F.interpolate(low, size=(96, 128), mode='bilinear')[0]


def resized(logits, size):
    return logits if logits.shape[1:] == size else F.interpolate(logits[None], size=size, mode='bilinear')[0]


def flipped(values, flips):
    return values.flip([axis for axis, flip in ((-2, flips[0]), (-1, flips[1])) if flip])


def formed(masks, index):
    """The masks by both ways, (n, rows, columns) of what they cover; by columns, negative ones are left out."""
    down, across = masks.covers(0), masks.covers(1)
    by_rows = torch.full((len(index), *masks.ori_shape), torch.nan, dtype=masks.mask_embed.dtype)
    by_columns = torch.full_like(by_rows, -1)
    for rows, logits in masks.rows(index):
        by_rows[:, rows, across] = logits.transpose(0, 1)
    for columns, places, logits in masks.columns(index):
        by_columns[places, down, columns] = logits.permute(1, 2, 0)
    return by_rows[:, down, across], by_columns[:, down, across]


@sizes
@flips
@budgets
def test_masks_of_a_flipped_image(size, flips, budget):
    img_shape, ori_shape = size
    _, embed, features = factors()
    expected = resized(enlarged(embed, features)[:, : img_shape[0], : img_shape[1]], ori_shape)[INDEX]
    expected = flipped(expected, flips)
    by_rows, by_columns = formed(LazyMasks(embed, features, (96, 128), img_shape, ori_shape, budget, flips), INDEX)
    torch.testing.assert_close(by_rows, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_columns.clamp(min=0), expected.clamp(min=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize('ori_shape', [(150, 200), (223, 311), (61, 90)])
@pytest.mark.parametrize('window', [((0, 90), (0, 120)), ((31, 121), (55, 175)), ((60, 150), (80, 200))])
@flips
@budgets
def test_masks_of_a_window(ori_shape, window, flips, budget):
    _, embed, features = factors()
    (top, bottom), (left, right) = window
    part = enlarged(embed, features)[INDEX, : bottom - top, : right - left]
    # Beyond the window its edge goes on, so that nothing but the window says what is inside.
    whole = F.pad(part, (left, 200 - right, top, 150 - bottom), mode='replicate')
    whole = resized(whole, ori_shape)
    y, x = ((torch.arange(ori) + 0.5) * image / ori for ori, image in zip(ori_shape, (150, 200)))
    inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    expected = flipped(whole.where(inside, torch.nan), flips)
    covered = ~expected[0].isnan()

    masks = LazyMasks(embed, features, (96, 128), (150, 200), ori_shape, budget, flips, window)
    assert masks.covers(0) == slice(*covered.any(1).nonzero().flatten()[[0, -1]].add(torch.tensor([0, 1])).tolist())
    by_rows, by_columns = formed(masks, INDEX)
    expected = expected[:, masks.covers(0), masks.covers(1)]
    torch.testing.assert_close(by_rows, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_columns.clamp(min=0), expected.clamp(min=0), rtol=0, atol=1e-12)


def class_scores(class_logits, logits):
    return torch.einsum('qk,qhw->khw', class_logits.softmax(-1)[:, :-1], logits.sigmoid())


def merged(views):
    sample = DetDataSample()
    SemanticInference().merge_views(views, sample)
    return sample.pred_sem_seg.sem_seg[0]


@budgets
def test_scores_are_averaged_over_views(budget):
    ori_shape, views, scores = (131, 173), [], 0
    cases = [
        ((87, 121), (False, False)),
        ((60, 80), (False, True)),
        ((90, 117), (True, True)),
        ((20, 30), (True, False)),
    ]
    for seed, (img_shape, flips) in enumerate(cases):
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
