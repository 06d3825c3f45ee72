"""The convolution that all pixel decoders are made of."""

from torch import nn

from mask2former.ops.linear import PointwiseConv


class ConvNorm(nn.Sequential):
    """Convolution and GroupNorm, with a ReLU by option.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Odd size of the kernel.
        num_groups: Groups of the GroupNorm.
        bias: Whether the convolution has a bias.
        relu: Whether a ReLU follows.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, num_groups: int, *, bias: bool, relu: bool
    ) -> None:
        if kernel_size == 1:
            conv: nn.Conv2d = PointwiseConv(in_channels, out_channels, bias=bias)
        else:
            conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        super().__init__(conv, nn.GroupNorm(num_groups, out_channels), *([nn.ReLU(inplace=True)] if relu else []))
