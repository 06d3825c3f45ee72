"""What counts alone say, against all choices there are, and against pycocotools."""

import itertools
import time

import numpy as np
import pytest

from mask2former.limits.bounds import best_ap, best_pq, choose_missed, pq_loss, recall_loss


def mean_recall(totals, missed):
    present = totals > 0
    return float(np.mean((totals - missed)[present] / totals[present])) if present.any() else 0.0


def choices(row, excess):
    """All ways to give up so many segments of an image."""
    return [way for way in itertools.product(*(range(count + 1) for count in row)) if sum(way) == excess]


@pytest.mark.parametrize(('loss', 'value'), [(pq_loss, best_pq), (recall_loss, mean_recall)])
def test_no_other_choice_is_better(loss, value):
    rng = np.random.default_rng(0)
    exchanged = 0
    for _ in range(200):
        counts = rng.integers(0, 4, (rng.integers(1, 5), rng.integers(1, 4)))
        limit = int(rng.integers(1, 6))
        totals = counts.sum(axis=0)
        missed = choose_missed(counts, limit, loss)
        assert (missed >= 0).all() and (missed <= counts).all()
        assert ((counts - missed).sum(axis=1) == np.minimum(counts.sum(axis=1), limit)).all()
        ways = [choices(row, max(0, row.sum() - limit)) for row in counts]
        best = max(value(totals, np.sum(way, axis=0)) for way in itertools.product(*ways))
        assert value(totals, missed.sum(axis=0)) == pytest.approx(best, abs=1e-9)
        exchanged += best < value(totals, np.zeros_like(totals))
    assert exchanged > 100


def test_what_one_image_gave_up_is_taken_back_where_that_is_better():
    # Both images are over the limit by one. Class 0 is the cheapest; the second image has nothing else of worth less.
    counts = np.array([[1, 1, 0], [1, 0, 1], [8, 3, 1]])
    missed = choose_missed(counts, 1, pq_loss)
    assert (counts - missed).sum(axis=1).tolist() == [1, 1, 1]
    ways = itertools.product(*(choices(row, row.sum() - 1) for row in counts))
    assert best_pq(counts.sum(axis=0), missed.sum(axis=0)) == pytest.approx(
        max(best_pq(counts.sum(axis=0), np.sum(way, axis=0)) for way in ways)
    )


def test_many_crowded_images_take_seconds():
    counts = np.random.default_rng(0).poisson(3, (30_000, 50))
    start = time.process_time()
    missed = choose_missed(counts, 100, pq_loss)
    assert time.process_time() - start < 10
    assert ((counts - missed).sum(axis=1) == np.minimum(counts.sum(axis=1), 100)).all()


def test_no_segment_at_all():
    counts = np.zeros((3, 2), dtype=int)
    assert not choose_missed(counts, 1, pq_loss).any()
    assert best_pq(counts.sum(axis=0), counts.sum(axis=0)) == best_ap(counts.sum(axis=0), counts.sum(axis=0)) == 0.0
