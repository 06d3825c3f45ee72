"""What the model says of an image, or of a part of it, once."""

from typing import NamedTuple

from torch import Tensor

from .lazy_masks import LazyMasks


class View(NamedTuple):
    """The last decoder output for one input made of an image: as it is, flipped, resized, or a window of it.

    Attributes:
        class_logits (Tensor): (Q, K + 1).
        masks (LazyMasks): Its masks, on the image as it came.
        shares (tuple[Tensor, Tensor], optional): Weights of this view at the rows (H,) and at the columns (W,) of the
            image as it came; a pixel's weight is their product. By default 1.
    """

    class_logits: Tensor
    masks: LazyMasks
    shares: tuple[Tensor, Tensor] | None = None
