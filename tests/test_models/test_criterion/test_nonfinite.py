"""Predictions that are not finite: an error or a warning that says where, and a match all the same."""

import itertools

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from scipy.optimize import linear_sum_assignment

from mask2former.errors import NonFiniteError
from mask2former.models.criterion import HungarianMatcher, matcher

from .random_outputs import COUNTS, D, P, Q, make_output, make_targets

BROKEN = {
    'class logits': (0, (1, 0, 2), 'decoder outputs [1]'),
    'mask embedding': (1, (2, 0, 2), 'decoder outputs [2]'),
    'mask features': (2, (0, 3, 4, 4), 'the mask features'),
}
WHERE = ' at iteration 17, images 285, 632'


def broken_output(kind, value):
    output = make_output()
    field, position, text = BROKEN[kind]
    output[field][position] = value
    return output, text


@pytest.fixture(autouse=True)
def iteration():
    """As if a runner were at iteration 17."""
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 17)
    yield
    hub.pop_info('iter')


def named_targets():
    targets = make_targets()
    for target, img_id in zip(targets, (285, 632)):
        target.set_metainfo(dict(img_id=img_id))
    return targets


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
        HungarianMatcher(num_points=P)(output, named_targets())
    assert text + WHERE in str(error.value)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('kind', BROKEN)
def test_skipping_warns_once_and_matches_all_the_same(kind, value, points, warnings):
    output, text = broken_output(kind, value)
    targets = named_targets()
    matches = HungarianMatcher(num_points=P, on_nonfinite='skip')(output, targets)
    assert len(warnings) == 1 and text + WHERE in warnings[0]
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


@pytest.mark.parametrize('scale', [1.0, 1e-3, 1e8, 1e30])
def test_costs_that_are_not_finite_are_taken_last(scale):
    """Of all assignments, counted one by one, it is the cheapest of those with the fewest such pairs."""
    generator = np.random.default_rng(0)
    for _ in range(40):
        cost = (generator.standard_normal((5, 3)) * scale).astype(np.float32)
        broken = generator.random((5, 3)) < 0.5
        broken[:, 2] |= generator.random() < 0.3  # now and then a segment that no query has a cost for
        cost[broken] = generator.choice([np.nan, np.inf, -np.inf], broken.sum())
        rows, columns = linear_sum_assignment(matcher.without_infinite(cost))
        chosen = (int(broken[rows, columns].sum()), np.where(broken, 0, cost.astype(float))[rows, columns].sum())
        best = min(
            (int(broken[q, range(3)].sum()), np.where(broken, 0, cost.astype(float))[q, range(3)].sum())
            for q in map(list, itertools.permutations(range(5), 3))
        )
        assert chosen[0] == best[0] and chosen[1] == pytest.approx(best[1], rel=1e-6, abs=1e-6 * scale)


def test_unknown_way_to_treat_them():
    with pytest.raises(ValueError, match="'raise' or 'skip', not 'ignore'"):
        HungarianMatcher(on_nonfinite='ignore')
