"""The first convolution of a backbone: how many bands its images have, and weights for another number of them."""

import math

from torch import Tensor, nn

from mask2former.errors import ConfigError


def input_conv(module: nn.Module) -> tuple[str, nn.Conv2d]:
    """Name of the first convolution in the order of the modules, and it itself.

    Raises:
        ConfigError: If there is none.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            return name, part
    raise ConfigError(f'{type(module).__name__} has no convolution, so it is unknown how many bands its images have.')


def image_channels(module: nn.Module) -> int:
    """How many bands a backbone's images have: 3 where it has no convolution."""
    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), 3)


def adapt_input_conv(weight: Tensor, in_channels: int) -> Tensor:
    """A convolution's weights for images of another number of bands, the rule of timm's ``adapt_input_conv``.

    For one band the weights are summed over the bands: a grey image gives what three equal bands gave. For others they
    are repeated, band after band, and scaled by old over new, so that what comes out keeps its size.

    Args:
        weight: (out, bands, k, k).
        in_channels: Bands of the images.

    Returns:
        Tensor: (out, in_channels, k, k).
    """
    bands = weight.shape[1]
    if in_channels == bands:
        return weight
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, math.ceil(in_channels / bands), 1, 1)[:, :in_channels]
    return repeated * (bands / in_channels)
