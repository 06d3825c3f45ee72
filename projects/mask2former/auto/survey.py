"""What a data set is like, in the few numbers that the choices follow from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mask2former.data_tools.check import Report, SplitReport


@dataclass(frozen=True)
class Survey:
    """A data set in numbers, over all of its splits unless a name says otherwise.

    Attributes:
        form: 'panoptic', 'instance' or 'semantic'.
        num_train: Images that are trained on.
        num_val: Images that are validated on.
        num_classes: Classes that are learnt.
        image_size: Median width and height, in pixels.
        usual_segments: Median of the segments of an image; of semantic data its classes.
        most_segments: Segments of the fullest image.
        small_side: Side of the square with the area of a small object, in pixels: a tenth of the things are smaller.
            None where there are no things, or nothing was measured.
    """

    form: str
    num_train: int
    num_val: int
    num_classes: int
    image_size: tuple[float, float]
    usual_segments: float
    most_segments: int
    small_side: float | None


def survey(report: Report) -> Survey:
    """Sum up the reports of a data check, that of the training first; both have images."""
    train = report.splits[0]
    sizes = np.array([image.size for split in report.splits for image in split.image_reports.values() if image.size])
    counts = [count for split in report.splits for count in split.num_learnt.values()] or [0]
    width, height = np.median(sizes, axis=0).tolist()
    return Survey(
        form=train.source.form,
        num_train=len(train.source.entries),
        num_val=sum(len(split.source.entries) for split in report.splits[1:]),
        num_classes=len(train.source.learnt),
        image_size=(width, height),
        usual_segments=float(np.median(counts)),
        most_segments=max(counts),
        small_side=_small_side(report.splits),
    )


def _small_side(splits: Sequence[SplitReport]) -> float | None:
    areas = []
    for split in splits:
        if split.source.form != 'semantic' and len(split.measured):
            things = [index for index, row in enumerate(split.source.categories.values()) if row.get('isthing', True)]
            rows = split.measured[np.isin(split.measured['category'], things) & ~split.measured['crowd']]
            areas += rows['area'].tolist()
    return float(np.sqrt(np.percentile(areas, 10))) if areas else None
