"""How often a training's crops show each class."""

import numpy as np

from mask2former.datasets.segment_table import SegmentTable

from .settings import Scaling

# Boxes that are compared with crops, in all: a second.
MAX_BOXES = 4_000_000
MAX_DRAWS = 32


def class_visibility(table: SegmentTable, scaling: Scaling, num_classes: int, seed: int = 0) -> np.ndarray:
    """The share of crops in which the box of a segment of each class lies at least in part.

    Of each image with a segment a few crops are drawn as the pipeline does; a crop is larger than the image where the
    image is resized to less. A box that reaches into a crop may do so without its segment, so the shares are those at
    most.

    Args:
        table: Segments with their boxes.
        scaling: How the pipeline resizes and crops.
        num_classes: K.
        seed: Of the draws.

    Returns:
        np.ndarray: ``(K,)``, of all crops of a training that draws the images evenly.
    """
    assert scaling.crop is not None
    rng = np.random.default_rng(seed)
    cells = table.image * num_classes + table.label
    order = np.argsort(cells, kind='stable')
    first = np.flatnonzero(np.diff(cells[order], prepend=-1))  # where a class of an image begins
    labels = table.label[order][first]
    image = table.image[order]
    start = table.box[order][:, 1::-1]  # (S, 2): top, left
    stop = start + table.box[order][:, :1:-1]  # (S, 2): bottom, right
    draws = int(np.clip(MAX_BOXES // max(1, len(table)), 1, MAX_DRAWS))
    seen = np.zeros(num_classes)
    crop = np.array(scaling.crop)
    for _ in range(draws):
        scales = (
            scaling.scales[rng.integers(len(scaling.scales), size=len(table.sizes))] if len(scaling.scales) else None
        )
        factor = np.ones(len(table.sizes)) if scales is None else scaling.factor(table.sizes, scales)  # (I,)
        margin = np.maximum(np.rint(table.sizes * factor[:, None]) - crop, 0)  # (I, 2)
        offset = np.floor(rng.random(margin.shape) * (margin + 1)) / factor[:, None]  # in pixels of the original
        end = offset + crop / factor[:, None]
        visible = ((start < end[image]) & (stop > offset[image])).all(axis=1)  # (S,)
        seen += np.bincount(labels, weights=np.logical_or.reduceat(visible, first), minlength=num_classes)
    return seen / (draws * len(table.sizes))
