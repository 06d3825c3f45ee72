"""Masks that are formed strip by strip are those of plain interpolation at full size."""

import pytest
import torch
import torch.nn.functional as F

from mask2former.models.masks import LazyMasks
from tests.test_models import smooth_masks
from tests.test_models.random_masks import budgets, enlarged, factors, flipped, flips, resized, sizes

QUERIES = torch.tensor([4, 0, 3])


@smooth_masks.sizes
@smooth_masks.budgets
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_logits_equal_interpolated_masks(size, budget, dtype):
    _, embed, features = smooth_masks.predictions(dtype=dtype)
    queries = torch.tensor([3, 11, 12, 0, 5, 13])
    expected = smooth_masks.full_size_logits(embed, features, size)[queries]  # (n, H, W)
    H, W = expected.shape[1:]
    # In units of the terms' size: the terms of a mask may cancel.
    tolerance = 4 * torch.finfo(dtype).eps * torch.einsum('qc,chw->qhw', embed.abs(), features.abs()).max()
    masks = smooth_masks.lazy(embed, features, size, budget)
    strips = [(rows, logits.clone()) for rows, logits in masks.rows(queries)]
    step = min(H, max(1, budget // (len(queries) * W * expected.element_size())))  # rows that the budget has room for
    assert [rows for rows, _ in strips] == [slice(y, min(y + step, H)) for y in range(0, H, step)]
    if budget == 2**16:
        assert (1 < len(strips) < H) == (len(queries) * expected[0].nbytes > budget)
    formed = torch.cat([logits for _, logits in strips]).transpose(0, 1)
    torch.testing.assert_close(formed, expected, rtol=0, atol=tolerance.item())

    formed = torch.full_like(expected, -1)
    for columns, query_index, logits in masks.columns(queries):
        column_bytes = len(query_index) * H * expected.element_size()
        assert logits.shape[0] == 1 or logits.shape[0] * column_bytes <= budget
        formed[query_index, :, columns] = logits.permute(1, 2, 0)
    left_out = formed == -1
    assert not (expected[left_out] > 0).any()
    assert left_out.any() or budget == 2**30 or H * W < 100
    torch.testing.assert_close(formed[~left_out], expected[~left_out], rtol=0, atol=tolerance.item())


def formed_both_ways(masks, queries):
    """The masks by both ways, (n, rows, columns) of their extent; by columns, negative ones are left out."""
    down, across = masks.extent(0), masks.extent(1)
    by_rows = torch.full((len(queries), *masks.ori_shape), torch.nan, dtype=masks.mask_embed.dtype)
    by_columns = torch.full_like(by_rows, -1)
    for rows, logits in masks.rows(queries):
        by_rows[:, rows, across] = logits.transpose(0, 1)
    for columns, query_index, logits in masks.columns(queries):
        by_columns[query_index, down, columns] = logits.permute(1, 2, 0)
    return by_rows[:, down, across], by_columns[:, down, across]


@sizes
@flips
@budgets
def test_masks_of_a_flipped_image(size, flips, budget):
    img_shape, ori_shape = size
    _, embed, features = factors()
    expected = resized(enlarged(embed, features)[:, : img_shape[0], : img_shape[1]], ori_shape)[QUERIES]
    expected = flipped(expected, flips)
    masks = LazyMasks(embed, features, (96, 128), img_shape, ori_shape, budget, flips)
    by_rows, by_columns = formed_both_ways(masks, QUERIES)
    torch.testing.assert_close(by_rows, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_columns.clamp(min=0), expected.clamp(min=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize('ori_shape', [(150, 200), (223, 311), (61, 90)])
@pytest.mark.parametrize('window', [((0, 90), (0, 120)), ((31, 121), (55, 175)), ((60, 150), (80, 200))])
@flips
@budgets
def test_masks_of_a_window(ori_shape, window, flips, budget):
    _, embed, features = factors()
    (top, bottom), (left, right) = window
    part = enlarged(embed, features)[QUERIES, : bottom - top, : right - left]
    # Beyond the window its edge goes on, so that nothing but the window says what is inside.
    whole = F.pad(part, (left, 200 - right, top, 150 - bottom), mode='replicate')
    whole = resized(whole, ori_shape)
    y, x = ((torch.arange(ori) + 0.5) * image / ori for ori, image in zip(ori_shape, (150, 200)))
    inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    expected = flipped(whole.where(inside, torch.nan), flips)
    inside_window = ~expected[0].isnan()

    masks = LazyMasks(embed, features, (96, 128), (150, 200), ori_shape, budget, flips, window)
    rows = inside_window.any(1).nonzero().flatten().tolist()
    assert masks.extent(0) == slice(rows[0], rows[-1] + 1)
    by_rows, by_columns = formed_both_ways(masks, QUERIES)
    expected = expected[:, masks.extent(0), masks.extent(1)]
    torch.testing.assert_close(by_rows, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_columns.clamp(min=0), expected.clamp(min=0), rtol=0, atol=1e-12)
