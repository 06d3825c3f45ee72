"""Costs and assignments: equal to those of mmdet and of transformers."""

import pytest
import torch
from mmcv.ops import point_sample
from mmdet.models.task_modules import HungarianAssigner
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment

from mask2former.models.criterion import HungarianMatcher, point_sampling

from .random_outputs import COUNTS, D, P, Q, make_output, make_targets

WEIGHTS = dict(class_cost=2.0, mask_cost=5.0, dice_cost=5.0)


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


@pytest.mark.parametrize('emptied', [False, True])
def test_costs_and_assignment_equal_mmdet(emptied, points, monkeypatch):
    output, targets = make_output(), make_targets(emptied=emptied)
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


@pytest.mark.parametrize('emptied', [False, True])
def test_costs_and_assignment_equal_transformers(emptied, points, monkeypatch):
    from transformers.models.mask2former import modeling_mask2former

    output, targets = make_output(), make_targets(emptied=emptied)
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
