"""From the views of an image to its results."""

from collections.abc import Callable, Iterable, Sequence

from mmdet.structures import DetDataSample

from .mean_masks import match_views
from .view import View


def merge(
    postprocessors: Sequence[Callable],
    views: Iterable[View],
    isthing: Sequence[bool],
    sample: DetDataSample,
    min_iou: float = 0.5,
) -> None:
    """Run the postprocessors on the views of an image.

    A postprocessor that has a method ``merge_views(views, sample)`` gets all the views. The others get one set of
    queries, see :func:`match_views`, which is that of the view where there is one only.

    Args:
        postprocessors (Sequence[Callable]): The postprocessors.
        views (Iterable[View]): In the order of their first rows. For one postprocessor with ``merge_views`` they
            need not exist together.
        isthing (Sequence[bool]): Of every class, whether it is a thing.
        sample (DetDataSample): Where the results go.
        min_iou (float): Queries of two views whose masks overlap less are different segments.
    """
    matched = None
    if len(postprocessors) != 1 or not takes_views(postprocessors[0]):
        views = list(views)
    for postprocessor in postprocessors:
        if takes_views(postprocessor):
            postprocessor.merge_views(views, sample)
        else:
            matched = matched or match_views(views, min_iou)
            postprocessor(*matched, isthing, sample)


def takes_views(postprocessor: Callable) -> bool:
    """Whether a postprocessor takes views whose queries do not belong together."""
    return hasattr(postprocessor, 'merge_views')
