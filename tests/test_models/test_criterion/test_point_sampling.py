"""Points: masks, features and maps are sampled as by PyTorch's ``grid_sample``; uncertain ones are the peers'."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import point_sample
from mmdet.models.utils import get_uncertain_point_coords_with_randomness

from mask2former.models.criterion import point_sampling

from .random_outputs import B, C, Q, make_output


def points_of_interest(dtype):
    """Points (1, n, 2): inside, outside, on borders and corners, in centres of pixels of a map of 7 x 9."""
    generator = torch.Generator().manual_seed(3)
    uniform = 1.8 * torch.rand(400, 2, generator=generator, dtype=dtype) - 0.4
    border = uniform.clamp(0, 1)
    corners = torch.tensor([(x, y) for x in (0, 1, -5, 6) for y in (0, 1, -5, 6)], dtype=dtype)
    y, x = torch.meshgrid(torch.arange(8, dtype=dtype), torch.arange(10, dtype=dtype), indexing='ij')
    centres = torch.stack(((x + 0.5) / 9, (y + 0.5) / 7), dim=-1).flatten(0, 1)
    edges = torch.stack((x / 9, y / 7), dim=-1).flatten(0, 1)
    return torch.cat((uniform, border, corners, centres, edges))[None]


def kinds_of_masks(height, width):
    generator = torch.Generator().manual_seed(4)
    masks = torch.rand(6, height, width, generator=generator) > 0.5
    masks[0], masks[1] = False, True
    masks[2:5] = False
    masks[2, 0, 0] = masks[3, height // 2, width // 2] = masks[4, -1, -1] = True
    return masks


@pytest.mark.parametrize('size', [(7, 9), (1, 1), (1, 5), (6, 1), (40, 33)])
@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@pytest.mark.parametrize('few', [1, 4, 10])
def test_sampled_masks_equal_grid_sample(size, dtype, tolerance, few, monkeypatch):
    masks, shared = kinds_of_masks(*size), points_of_interest(dtype)  # (6, H, W), (1, n, 2)
    monkeypatch.setattr(point_sampling, 'MAX_FLOAT_PIXELS', few * masks[0].numel())

    def grid_sample(index, points):
        return F.grid_sample(
            masks[index].to(dtype)[:, None],
            (2 * points - 1).expand(len(index), -1, -1)[:, None],
            mode='bilinear',
            padding_mode='zeros',
            align_corners=False,
        )[:, 0, 0]

    sampled = point_sampling.sample_masks(masks, shared[0])
    assert sampled.dtype == dtype
    torch.testing.assert_close(sampled, grid_sample(torch.arange(6), shared), rtol=0, atol=tolerance * max(size))
    # Not every mask is taken by every decoder output.
    segments = torch.tensor([[5, 0, 1], [2, 3, 4], [4, 5, 0]])
    own = shared + torch.linspace(-0.1, 0.1, segments.numel(), dtype=dtype)[:, None, None]
    sampled = point_sampling.sample_matched_masks(masks, segments, own)
    assert sampled.dtype == dtype
    torch.testing.assert_close(sampled, grid_sample(segments.flatten(), own), rtol=0, atol=tolerance * max(size))


def test_no_masks_are_sampled_at_no_points():
    none = torch.zeros(0, 3, 4, dtype=torch.bool)
    assert point_sampling.sample_masks(none, torch.rand(5, 2)).shape == (0, 5)
    assert point_sampling.sample_matched_masks(none, torch.zeros(2, 0).long(), torch.rand(0, 5, 2)).shape == (0, 5)


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_sampled_features_equal_grid_sample(dtype, tolerance):
    features = make_output().mask_features[0].to(dtype)
    points = points_of_interest(dtype)
    expected = F.grid_sample(features[None], 2 * points[:, None] - 1, padding_mode='zeros', align_corners=False)
    sampled = point_sampling.sample_features(features, points[0])
    torch.testing.assert_close(sampled, expected[0, :, 0].T, rtol=0, atol=10 * tolerance)


def test_one_pixel_mask_in_closed_form():
    """A single pixel is a tent: 1 in its centre, 0.5 on its edges, 0.25 on its corners, 0 beyond its neighbours."""
    masks = torch.zeros(1, 4, 8, dtype=torch.bool)
    masks[0, 1, 3] = True
    points = torch.tensor([(3.5, 1.5), (3, 1.5), (4, 1.5), (3.5, 2), (3, 1), (4.5, 1.5), (3.75, 1.25)]).double()
    sampled = point_sampling.sample_masks(masks, points / torch.tensor([8, 4]))
    assert sampled.tolist() == [[1, 0.5, 0.5, 0.5, 0.25, 0, 0.75 * 0.75]]


def test_sampled_maps_equal_mmcv():
    maps = make_output().mask_features
    points = points_of_interest(torch.float64).expand(B, -1, -1)
    sampled = point_sampling.sample_maps(maps, points)
    assert torch.equal(sampled, point_sample(maps, points)) and sampled.shape == (B, C, points.shape[1])


@pytest.mark.parametrize(
    'num_points, oversample_ratio, importance_ratio',
    [(100, 3.0, 0.75), (101, 3.0, 0.75), (50, 1.0, 0.0), (50, 2.5, 1.0)],
)
def test_uncertain_points_equal_the_peers(num_points, oversample_ratio, importance_ratio):
    """Given the same random numbers; the uncertain points come in any order."""
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    logits = make_output(torch.float32).mask_logits()[0]
    ours, mmdet, transformers = (
        torch.random.manual_seed(0) and function()
        for function in (
            lambda: point_sampling.uncertain_points(logits, num_points, oversample_ratio, importance_ratio),
            lambda: get_uncertain_point_coords_with_randomness(
                logits[:, None], None, num_points, oversample_ratio, importance_ratio
            ),
            lambda: Mask2FormerLoss.sample_points_using_uncertainty(
                None, logits[:, None], lambda x: -x.abs(), num_points, oversample_ratio, importance_ratio
            ),
        )
    )
    assert ours.shape == (Q, num_points, 2)
    important = int(importance_ratio * num_points)
    for peer in (mmdet, transformers):
        for mine, theirs in zip(ours.tolist(), peer.tolist()):
            assert sorted(mine[:important]) == sorted(theirs[:important])
            assert mine[important:] == theirs[important:]


def test_candidates_are_taken_of_few_masks_at_a_time(monkeypatch):
    """Parts of the masks choose from the points that these parts would have, one after another."""
    logits = make_output(torch.float32).mask_logits()[0]
    torch.manual_seed(0)
    expected = torch.cat([point_sampling.uncertain_points(part, 20, 3.0, 0.75) for part in logits.split(2)])
    monkeypatch.setattr(point_sampling, 'MAX_CANDIDATES', 2 * 60)
    torch.manual_seed(0)
    assert torch.equal(point_sampling.uncertain_points(logits, 20, 3.0, 0.75), expected)


def test_three_quarters_are_the_most_uncertain(monkeypatch):
    """Of a map whose logit is x - 0.5: the candidates nearest to its middle, then points that do not look at it."""
    logits = ((torch.arange(64) + 0.5) / 64 - 0.5).expand(2, 4, 64)
    # Away from the borders, beyond which a map is zero.
    candidates = 0.15 + 0.7 * torch.rand(2, 300, 2, generator=torch.Generator().manual_seed(0))
    uniform = torch.rand(2, 25, 2, generator=torch.Generator().manual_seed(1))
    given = {300: candidates, 25: uniform}
    monkeypatch.setattr(point_sampling, 'random_points', lambda n, num_points, like, _: given[num_points])
    points = point_sampling.uncertain_points(logits, 100, 3.0, 0.75)
    assert torch.equal(points[:, 75:], uniform)
    for chosen, pool in zip(points[:, :75], candidates):
        nearest = pool[(pool[:, 0] - 0.5).abs().argsort()[:75]]
        assert sorted(chosen.tolist()) == sorted(nearest.tolist())
