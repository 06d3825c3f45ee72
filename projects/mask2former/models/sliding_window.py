"""Inference on large images in overlapping windows, whose class scores are averaged where they overlap."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.tiles.grid import window_bounds

from .head import HeadOutput
from .masks import Geometry, LazyMasks
from .masks.axis_resize import original_extent
from .postprocess import View


class SlidingWindow:
    """Windows over an image, as mmseg's ``slide`` mode has them: the last one of a row ends where the image ends.

    Args:
        crop_size: Height and width of a window, in pixels of the image as the model gets it.
        stride: Steps down and across from a window to the next. None for as few windows as cover the image, spread
            evenly, as EoMT has them.
    """

    def __init__(self, crop_size: tuple[int, int], stride: tuple[int, int] | None = None) -> None:
        for name, values in (('crop_size', crop_size), ('stride', stride or crop_size)):
            if len(values) != 2 or any(value != int(value) or value < 1 for value in values):
                raise ConfigError(
                    f'sliding_window: {name} must be two whole numbers from 1 on, (height, width), but is {values}.'
                )
        if stride is not None and any(step > size for step, size in zip(stride, crop_size)):
            raise ConfigError(
                f'sliding_window: stride {tuple(stride)} is larger than crop_size {tuple(crop_size)}, '
                'which leaves gaps between the windows; choose a smaller one.'
            )
        self.crop_size = tuple(int(size) for size in crop_size)
        self.stride = None if stride is None else tuple(int(step) for step in stride)

    def windows(self, size: int, axis: int) -> list[tuple[int, int]]:
        """First and one after the last pixel of each window along an axis of an image."""
        crop = min(self.crop_size[axis], size)
        if self.stride is not None:
            return window_bounds(size, crop, self.stride[axis])
        last = math.ceil(size / crop) - 1
        starts = [i * (size - crop) // max(last, 1) for i in range(last + 1)]
        return [(start, start + crop) for start in starts]

    def views(
        self, extract: Callable[[Tensor], HeadOutput], inputs: Tensor, geometries: Sequence[Geometry], divisor: int
    ) -> list[Iterator[View]]:
        """The views of each image, one a window, whose weights sum to 1 at each pixel.

        The model runs on a window when its view is asked for, under the autocast of this call.

        Args:
            extract: The model, from inputs (1, 3, H, W) to a head output.
            inputs: (B, 3, H, W), normalised and padded images.
            geometries: B, of each image.
            divisor: What heights and widths of the model's inputs are multiples of.

        Returns:
            list: Of each image, its views in the order of their first rows on the original image.
        """
        device = inputs.device.type
        enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

        def extract_window(window: Tensor) -> HeadOutput:
            # Windows are run among the postprocessing, which goes without autocast.
            with torch.autocast(device, dtype, enabled):
                return extract(window).full_precision()

        return [self._views_of(extract_window, *of_image, divisor) for of_image in zip(inputs, geometries)]

    def _views_of(
        self, extract: Callable[[Tensor], HeadOutput], image: Tensor, geometry: Geometry, divisor: int
    ) -> Iterator[View]:
        """The views of one image (3, H, W)."""
        down, across = (self.windows(size, axis) for axis, size in enumerate(geometry['img_shape']))
        weights = None
        if len(down) > 1 or len(across) > 1:
            weights = _weights(down, 0, geometry, image.device), _weights(across, 1, geometry, image.device)
        for top, bottom in down[::-1] if geometry['flips'][0] else down:
            for left, right in across:
                crop = image[None, :, top:bottom, left:right]
                crop = F.pad(crop, (0, -crop.shape[3] % divisor, 0, -crop.shape[2] % divisor))
                output = extract(crop)
                masks = LazyMasks(
                    mask_embed=output.mask_embed[-1, 0],
                    mask_features=output.mask_features[0],
                    batch_shape=(crop.shape[2], crop.shape[3]),
                    window=((top, bottom), (left, right)),
                    **geometry,
                )
                yield View(output.class_logits[-1, 0], masks, weights)


def _weights(windows: Sequence[tuple[int, int]], axis: int, geometry: Geometry, device: torch.device) -> Tensor:
    """One over the number of windows that have each row or column of the original image."""
    image, original = geometry['img_shape'][axis], geometry['ori_shape'][axis]
    count = torch.zeros(original, device=device)
    for window in windows:
        count[original_extent(image, original, geometry['flips'][axis], window)] += 1
    return 1 / count
