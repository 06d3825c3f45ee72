"""A convolution with the batch norm after it as one operation, where the norm keeps its statistics."""

import torch.nn.functional as F
from torch import Tensor, nn

from mask2former.ops.linear import pointwise_conv
from mask2former.ops.winograd import conv3x3


def conv_bn(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, add: Tensor | None = None, relu: bool = False) -> Tensor:
    """Convolution and BN of kept statistics, by option an addition and a ReLU.

    (B, in, H, W) -> (B, out, H', W'). Such a norm is a scale and a shift of each channel. They are multiplied into the
    convolution, whose weights still train, as do those of the norm: there is no pass of BN over the features, and
    autograd keeps one map instead of two.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # (out,)
    weight = conv.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    if conv.kernel_size == (1, 1):
        return pointwise_conv(x, weight, bias, conv.stride[0], add=add, relu=relu)
    if (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), (1, 1), 1):
        out = conv3x3(x, weight, bias)
    else:
        out = F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    out = out if add is None else out + add
    return out.relu_() if relu else out
