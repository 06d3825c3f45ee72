"""The convolution that all pixel decoders are made of."""

from torch import nn

from mask2former.ops.linear import PointwiseConv
from mask2former.ops.winograd import Conv3x3


class ConvNorm(nn.Sequential):
    """Convolution and GroupNorm, with a ReLU by option.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the kernel, 1 or 3.
        num_groups: Groups of the GroupNorm.
        bias: Whether the convolution has a bias.
        relu: Whether a ReLU follows.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, num_groups: int, *, bias: bool, relu: bool
    ) -> None:
        make_conv = {1: PointwiseConv, 3: Conv3x3}[kernel_size]
        conv = make_conv(in_channels, out_channels, bias=bias)
        super().__init__(conv, nn.GroupNorm(num_groups, out_channels), *([nn.ReLU(inplace=True)] if relu else []))
