"""The gradient before enlarging is PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F

from mask2former.models.criterion.enlarging import gradient_before_enlarging


@pytest.mark.parametrize('size', [(24, 32), (23, 37), (6, 8), (13, 5)])
def test_it_is_autograd_s(size):
    masks = torch.randn(3, 6, 8, dtype=torch.float64, requires_grad=True)
    large = F.interpolate(masks[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]
    gradient = torch.randn(3, *size, dtype=torch.float64)
    large.backward(gradient)
    torch.testing.assert_close(gradient_before_enlarging(gradient, (6, 8)), masks.grad, rtol=1e-12, atol=1e-12)
    assert gradient_before_enlarging(gradient[:0], (6, 8)).shape == (0, 6, 8)
