"""Inference on large images in overlapping windows, whose class scores are averaged where they overlap."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mask2former.errors import ConfigError

from .head import HeadOutput
from .postprocess import LazyMasks, View
from .postprocess.axis_resize import covered


class SlidingWindow:
    """Windows over an image, as mmseg's ``slide`` mode has them: the last one of a row ends where the image ends.

    Args:
        crop_size (tuple[int, int]): Height and width of a window, in pixels of the image as the model gets it.
        stride (tuple[int, int]): Steps down and across from a window to the next.
    """

    def __init__(self, crop_size: tuple[int, int], stride: tuple[int, int]) -> None:
        for name, values in (('crop_size', crop_size), ('stride', stride)):
            if len(values) != 2 or any(value != int(value) or value < 1 for value in values):
                raise ConfigError(
                    f'sliding_window: {name} must be two whole numbers from 1 on, (height, width), but is {values}.'
                )
        if any(step > size for step, size in zip(stride, crop_size)):
            raise ConfigError(
                f'sliding_window: stride {tuple(stride)} is larger than crop_size {tuple(crop_size)}, '
                'which leaves gaps between the windows; choose a smaller one.'
            )
        self.crop_size = tuple(int(size) for size in crop_size)
        self.stride = tuple(int(step) for step in stride)

    def windows(self, size: int, axis: int) -> list[tuple[int, int]]:
        """First and one after the last pixel of each window along an axis of an image."""
        crop, stride = min(self.crop_size[axis], size), self.stride[axis]
        starts = [min(i * stride, size - crop) for i in range(math.ceil((size - crop) / stride) + 1)]
        return [(start, start + crop) for start in starts]

    def views(
        self, extract: Callable[[Tensor], HeadOutput], image: Tensor, sizes: dict, divisor: int
    ) -> Iterator[View]:
        """Run the model on one window after the other; their weights sum to 1 at each pixel.

        Args:
            extract (Callable): The model, from inputs (1, 3, H, W) to a head output.
            image (Tensor): (3, h, w), normalised, without padding.
            sizes (dict): ``img_shape``, ``ori_shape`` and ``flips`` of the image's :class:`LazyMasks`.
            divisor (int): What heights and widths of the model's inputs are multiples of.

        Yields:
            View: In the order of their first rows on the image as it came.
        """
        windows = [self.windows(size, axis) for axis, size in enumerate(sizes['img_shape'])]
        shares = None
        if len(windows[0]) > 1 or len(windows[1]) > 1:
            shares = tuple(self._shares(windows[axis], axis, sizes, image) for axis in range(2))
        for top, bottom in windows[0][::-1] if sizes['flips'][0] else windows[0]:
            for left, right in windows[1]:
                part = image[None, :, top:bottom, left:right]
                part = F.pad(part, (0, -part.shape[3] % divisor, 0, -part.shape[2] % divisor))
                output = extract(part)
                masks = LazyMasks(
                    mask_embed=output.mask_embed[-1, 0],
                    mask_features=output.mask_features[0],
                    batch_shape=tuple(part.shape[-2:]),
                    window=((top, bottom), (left, right)),
                    **sizes,
                )
                yield View(output.class_logits[-1, 0], masks, shares)

    @staticmethod
    def _shares(windows: list[tuple[int, int]], axis: int, sizes: dict, like: Tensor) -> Tensor:
        """One over the number of windows that have each line of the image as it came."""
        image, original = sizes['img_shape'][axis], sizes['ori_shape'][axis]
        count = torch.zeros(original, device=like.device)
        for window in windows:
            count[covered(image, original, sizes['flips'][axis], window)] += 1
        return 1 / count
