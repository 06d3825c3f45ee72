"""Costs, assignments and point sampling: equal to those of mmdet, of transformers and of PyTorch's ``grid_sample``."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import point_sample
from mmdet.models.task_modules import HungarianAssigner
from mmdet.models.utils import get_uncertain_point_coords_with_randomness
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment

from benchmarks.synthetic import smooth_masks
from mask2former.errors import NonFiniteError
from mask2former.models import HeadOutput
from mask2former.models.criterion import HungarianMatcher, matcher, point_sampling

D, B, Q, K, C, P = 3, 2, 6, 5, 8, 300
COUNTS = [4, 9]  # the second image has more segments than there are queries
h, w, H, W = 12, 16, 48, 64
WEIGHTS = dict(class_cost=2.0, mask_cost=5.0, dice_cost=5.0)


def make_output(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    return HeadOutput(2 * random(D, B, Q, K + 1), random(D, B, Q, C), random(B, C, h, w))


def make_targets(counts=COUNTS):
    generator = torch.Generator().manual_seed(1)
    return [
        InstanceData(labels=torch.randint(K, (n,), generator=generator), masks=smooth_masks(n, H, W, generator))
        for n in counts
    ]


@pytest.fixture
def points(monkeypatch):
    """The points (1, P, 2) of every image, a few of them outside the map."""
    points = 1.1 * torch.rand(1, P, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 0.05
    monkeypatch.setattr(point_sampling, 'random_points', lambda n, num_points, like: points.expand(n, -1, -1))
    return points


def assert_same_costs(costs, output, targets):
    """``costs`` yields, for every image, the cost of every decoder output."""
    ours = HungarianMatcher(**WEIGHTS, num_points=P)
    matches = ours(output, targets)
    for b, target in enumerate(targets):
        cost = ours.cost(output, b, target)
        assert cost.shape == (D, Q, COUNTS[b])
        queries, segments = matches[b]
        assert queries.shape == segments.shape == (D, min(Q, COUNTS[b])) and queries.dtype == torch.int64
        for d in range(D):
            theirs, pairs = next(costs)
            torch.testing.assert_close(cost[d], theirs, rtol=1e-9, atol=1e-9)
            assert list(zip(queries[d].tolist(), segments[d].tolist())) == pairs


def test_costs_and_assignment_equal_mmdet(points, monkeypatch):
    output, targets = make_output(), make_targets()
    assigner = HungarianAssigner(
        match_costs=[
            dict(type='mmdet.ClassificationCost', weight=2.0),
            dict(type='mmdet.CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
            dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
        ]
    )
    # mmdet's costs are computed in float32 whatever comes in.
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)

    def costs():
        for b, target in enumerate(targets):
            masks = point_sample(target.masks.double()[:, None], points.expand(COUNTS[b], -1, -1))[:, 0]
            truth = InstanceData(labels=target.labels, masks=masks)
            for d in range(D):
                logits = point_sample(output.mask_logits(d)[b][:, None], points.expand(Q, -1, -1))[:, 0]
                predicted = InstanceData(scores=output.class_logits[d, b], masks=logits)
                cost = sum(match_cost(predicted, truth) for match_cost in assigner.match_costs)
                numbers = assigner.assign(predicted, truth).gt_inds
                yield cost, [(q, n - 1) for q, n in enumerate(numbers.tolist()) if n > 0]

    assert_same_costs(costs(), output, targets)


def test_costs_and_assignment_equal_transformers(points, monkeypatch):
    from transformers.models.mask2former import modeling_mask2former

    output, targets = make_output(), make_targets()
    theirs = modeling_mask2former.Mask2FormerHungarianMatcher(2.0, 5.0, 5.0, P)
    seen = []
    monkeypatch.setattr(
        modeling_mask2former, 'linear_sum_assignment', lambda cost: seen.append(cost) or linear_sum_assignment(cost)
    )

    def costs():
        for b, target in enumerate(targets):
            for d in range(D):
                with monkeypatch.context() as patch:
                    patch.setattr(torch, 'rand', lambda *args, **kwargs: points)
                    [(queries, segments)] = theirs(
                        output.mask_logits(d)[b : b + 1],
                        output.class_logits[d, b : b + 1],
                        [target.masks],
                        [target.labels],
                    )
                yield seen.pop(), list(zip(queries.tolist(), segments.tolist()))

    assert_same_costs(costs(), output, targets)


def test_points_differ_between_images_and_calls(monkeypatch):
    calls = []
    random_points = point_sampling.random_points
    monkeypatch.setattr(point_sampling, 'random_points', lambda *args: calls.append(random_points(*args)) or calls[-1])
    matching = HungarianMatcher(num_points=P)
    for _ in range(2):
        matching(make_output(torch.float32), make_targets())
    assert [tuple(call.shape) for call in calls] == [(1, P, 2)] * 4
    assert all(call.min() >= 0 and call.max() <= 1 and call.dtype == torch.float32 for call in calls)
    assert len({call.sum().item() for call in calls}) == 4


def test_no_segment():
    [queries, segments] = HungarianMatcher(num_points=P)(make_output(), make_targets([0, 3]))[0]
    assert queries.shape == segments.shape == (D, 0) and queries.dtype == segments.dtype == torch.int64


# Points: those of a mask.


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


# Points: the uncertain ones.


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
    monkeypatch.setattr(point_sampling, 'random_points', lambda n, num_points, like: given[num_points])
    points = point_sampling.uncertain_points(logits, 100, 3.0, 0.75)
    assert torch.equal(points[:, 75:], uniform)
    for chosen, pool in zip(points[:, :75], candidates):
        nearest = pool[(pool[:, 0] - 0.5).abs().argsort()[:75]]
        assert sorted(chosen.tolist()) == sorted(nearest.tolist())


# Predictions that are not finite.

BROKEN = {
    'class logits': (0, (1, 0, 2), 'decoder outputs [1]'),
    'mask embedding': (1, (2, 0, 2), 'decoder outputs [2]'),
    'mask features': (2, (0, 3, 4, 4), 'the mask features'),
}
WHERE = ' at iteration 17, images 285, 632'


def broken_output(kind, value):
    output = make_output()
    field, place, text = BROKEN[kind]
    output[field][place] = value
    return output, text


@pytest.fixture
def warnings(monkeypatch):
    """The texts of the warnings that the matcher logs."""
    messages = []
    monkeypatch.setattr(matcher, 'print_log', lambda message, logger, level: messages.append(message))
    return messages


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('kind', BROKEN)
def test_not_finite_is_an_error_that_says_where(kind, value, points):
    output, text = broken_output(kind, value)
    with pytest.raises(NonFiniteError) as error:
        HungarianMatcher(num_points=P)(output, make_targets(), WHERE)
    for part in (text, 'iteration 17', 'images 285, 632'):
        assert part in str(error.value)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('kind', BROKEN)
def test_skipping_warns_once_and_matches_all_the_same(kind, value, points, warnings):
    output, text = broken_output(kind, value)
    targets = make_targets()
    matches = HungarianMatcher(num_points=P, on_nonfinite='skip')(output, targets, WHERE)
    assert len(warnings) == 1 and text in warnings[0] and WHERE in warnings[0]
    for (queries, segments), count in zip(matches, COUNTS):
        assert queries.shape == (D, min(Q, count))
        assert all(len(set(row)) == len(row) and set(row) <= set(range(Q)) for row in queries.tolist())
        assert all(len(set(row)) == len(row) and set(row) <= set(range(count)) for row in segments.tolist())
    sound = HungarianMatcher(num_points=P)(make_output(), targets)
    assert torch.equal(torch.stack(matches[1]), torch.stack(sound[1])), 'the other image is matched as ever'
    if kind != 'mask features':
        d = BROKEN[kind][1][0]
        assert 2 not in matches[0][0][d].tolist(), 'the broken query is worthless'
        others = [i for i in range(D) if i != d]
        assert torch.equal(matches[0][0][others], sound[0][0][others])


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_any_cost_that_is_not_finite_is_worthless(value, monkeypatch, warnings):
    cost = torch.rand(D, Q, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cost[1, 4] = value
    monkeypatch.setattr(HungarianMatcher, 'cost', lambda *args: cost)
    [(queries, segments)] = HungarianMatcher(on_nonfinite='skip')(make_output(), make_targets([3]))
    assert 4 not in queries[1].tolist() and len(warnings) == 1
    kept = [q for q in range(Q) if q != 4]
    rows, columns = linear_sum_assignment(cost[1, kept])
    assert queries[1].tolist() == [kept[q] for q in rows] and segments[1].tolist() == columns.tolist()


def test_unknown_way_to_treat_them():
    with pytest.raises(ValueError, match="'raise' or 'skip', not 'ignore'"):
        HungarianMatcher(on_nonfinite='ignore')
