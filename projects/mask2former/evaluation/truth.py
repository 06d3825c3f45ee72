"""What a metric takes for the truth of an image, one segment after another."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable


class TrueSegment(NamedTuple):
    """A segment that the metric expects to be found."""

    label: int
    mask: dict  # run-length encoding in COCO's form


@runtime_checkable
class KnowsTruth(Protocol):
    """A metric that can say what it expects of an image.

    Attributes:
        predicted: The field of a data sample that it measures.
    """

    predicted: str

    def true_segments(self, sample: dict) -> Sequence[TrueSegment]:
        """The segments, crowd left out, of a data sample after ``to_dict()``; masks at its original size."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure data samples, as mmengine's ``BaseMetric`` does."""

    def evaluate(self, size: int) -> dict:
        """The metrics of ``size`` images, as of mmengine's ``BaseMetric``."""
