"""Batches that know of the others whose gradients make the same step of the optimizer."""

from collections import deque
from collections.abc import Callable, Iterator


class WholeSteps:
    """Batches, a step of the optimizer at a time, each image with what its loss needs of the whole step.

    The losses of a batch are divided by numbers of segments and queries. With those of all batches of a step their
    gradients add up to those of one large batch; with its own, a segment would count more in a batch with few.

    The batches of a step are loaded before the first of them is trained on.

    Args:
        batches: With a list ``data_samples`` each, whose ``gt_segments`` have ``labels`` (N,). Samples get ``step``, a
            dict of ``segments``, N of each image of the step, and ``batches``, the number of its batches.
        per_step: Batches of a step.
        first: Number of the first batch, with which a step begins.
        last: Gives the number of batches in all: the last step may be smaller.
    """

    def __init__(self, batches: Iterator[dict], per_step: int, first: int, last: Callable[[], int]) -> None:
        self.batches, self.per_step, self.loaded, self.last = batches, per_step, first, last
        self.waiting: deque[dict] = deque()

    def __iter__(self) -> 'WholeSteps':
        return self

    def __next__(self) -> dict:
        if not self.waiting:
            count = max(1, min(self.per_step, self.last() - self.loaded))
            self.waiting.extend(next(self.batches) for _ in range(count))
            self.loaded += count
            samples = [sample for batch in self.waiting for sample in batch['data_samples']]
            segments = [len(sample.gt_segments.labels) for sample in samples]
            for sample in samples:
                sample.set_metainfo(dict(step=dict(segments=segments, batches=count)))
        return self.waiting.popleft()
