"""What counts of segments alone say: which results a model reaches at most that finds so many segments an image.

Everything that is found is taken to be found perfectly, each segment by one query; see :mod:`.oracle` for the rest.
"""

import heapq
from collections.abc import Callable

import numpy as np

# Segments are given up one by one. Where that would take more looks at images than this (a second or two), they are
# given up several at a time: the result is then near the best one.
MAX_LOOKS = 5_000_000
RECALLS = np.linspace(0, 1, 101)  # pycocotools' `recThrs`


def pq_loss(total: int, missed: int) -> float:
    """What one more missed segment costs the PQ of a class with ``total`` segments, of which ``missed`` are already."""
    return class_pq(total, missed) - class_pq(total, missed + 1)


def recall_loss(total: int, missed: int) -> float:
    """What one more missed segment costs the recall of a class: always the same."""
    return 1 / total


def class_pq(total: int, missed: int) -> float:
    """PQ of a class that is perfect but for the segments that are missed, in [0, 1]."""
    return (total - missed) / (total - missed / 2)


def choose_missed(
    counts: np.ndarray, limit: int, loss: Callable[[int, int], float], totals: np.ndarray | None = None
) -> np.ndarray:
    """Choose which segments to give up where an image has more than can be found, so that the classes lose least.

    The sum over the classes of what is lost is smallest: rare classes are kept. A class's loss must not fall with the
    segments it misses; then the cheapest segment that some image can still give up is always a right choice, if images
    may exchange what they gave up before (the greedy algorithm on a polymatroid).

    Args:
        counts: ``(I, K)``, segments of each class in each image.
        limit: Segments that can be found in an image.
        loss: Of the total of a class and what it misses, what one more costs.
        totals: ``(K,)``, segments of each class in all images, where ``counts`` are those of some.

    Returns:
        np.ndarray: ``(I, K)`` int64, the segments of each class that each image misses.
    """
    missed = np.zeros(counts.shape, dtype=np.int64)
    crowded = np.flatnonzero(counts.sum(axis=1) > limit)
    kept = counts[crowded].astype(np.int64)  # (J, K)
    given = np.zeros_like(kept)
    excess = kept.sum(axis=1) - limit  # (J,), still to be given up
    step = max(1, int(excess.sum()) * len(crowded) // MAX_LOOKS)
    total = (counts.sum(axis=0) if totals is None else totals).tolist()
    class_missed = [0] * len(total)
    heap = [(loss(total[k], 0), k) for k in np.flatnonzero(kept.any(axis=0)).tolist()]
    heapq.heapify(heap)
    while heap and excess.any():
        _, k = heapq.heappop(heap)
        # An exchange moves one segment, so that many would take long.
        amount = _give_up(k, step, kept, given, excess) or (step == 1 and _exchange(k, kept, given, excess))
        if amount:  # otherwise no image can, and none will be able to later
            class_missed[k] += amount
            if class_missed[k] < total[k]:
                heapq.heappush(heap, (loss(total[k], class_missed[k]), k))
    missed[crowded] = given
    return missed


def _give_up(k: int, most: int, kept: np.ndarray, given: np.ndarray, excess: np.ndarray) -> int:
    """Give up to ``most`` segments of class ``k`` up, in the first images that can; returns how many.

    ``kept``, ``given`` (J, K) and ``excess`` (J,) are changed.
    """
    able = np.flatnonzero((kept[:, k] > 0) & (excess > 0))[:most]
    amounts = np.minimum(kept[able, k], excess[able])
    amounts = np.diff(np.minimum(amounts.cumsum(), most), prepend=0)
    kept[able, k] -= amounts
    given[able, k] += amounts
    excess[able] -= amounts
    return int(amounts.sum())


def _exchange(k: int, kept: np.ndarray, given: np.ndarray, excess: np.ndarray) -> int:
    """Give up one segment of class ``k`` in an image that takes back one of another class, and so on.

    The last class in the chain is given up in an image that still has to give up something.

    Returns:
        int: 1, or 0 where there is no such chain.
    """
    came_from: dict[
        int, tuple[int, int]
    ] = {}  # a class that is taken back: the one given up for it, and in which image
    queue = [k]
    for last in queue:
        able = kept[:, last] > 0  # (J,)
        if (able & (excess > 0)).any():
            break
        for other in np.flatnonzero(given[able].any(axis=0)).tolist():
            if other != k and other not in came_from:
                came_from[other] = last, int(np.argmax(able & (given[:, other] > 0)))
                queue.append(other)
    else:
        return 0
    _give_up(last, 1, kept, given, excess)
    while last != k:
        taker, image = came_from[last]
        kept[image, [last, taker]] += 1, -1
        given[image, [last, taker]] += -1, 1
        last = taker
    return 1


def best_pq(totals: np.ndarray, missed: np.ndarray) -> float:
    """PQ in percent of a perfect result but for missed segments; ``(K,)`` each, of segments that are no crowd."""
    present = totals > 0
    if not present.any():
        return 0.0
    values = [class_pq(total, gone) for total, gone in zip(totals[present].tolist(), missed[present].tolist())]
    return 100 * float(np.mean(values))


def best_ap(totals: np.ndarray, missed: np.ndarray) -> float:
    """COCO's AP in percent of a perfect result but for missed objects; ``(K,)`` each, of objects that are no crowd."""
    present = totals > 0
    if not present.any():
        return 0.0
    recall = (totals - missed)[present] / totals[present]
    return 100 * float(np.mean((recall[:, None] >= RECALLS).mean(axis=1) * (recall > 0)))
