"""Swin's linear layers, which mmdet and mmcv wrote, become ours: same weights, same features."""

import torch
from mmcv.cnn import Linear as MmcvLinear
from torch import nn

from mask2former.ops import product
from mask2former.ops.linear import Linear
from mask2former.registry import MODELS
from tests.test_models.peers import build_ours


def test_swin_in_the_model_is_mmdets_but_for_its_linear_layers(monkeypatch):
    monkeypatch.setattr(product, 'MKL_IS_FAST', False)  # PyTorch's own layers go through it
    monkeypatch.setattr(product, 'MAX_SMALL', 0)
    mine = build_ours('swin-t').backbone
    other = MODELS.build(
        dict(
            type='mmdet.SwinTransformer',
            embed_dims=96,
            depths=(2, 2, 6, 2),
            num_heads=(3, 6, 12, 24),
            window_size=7,
            drop_path_rate=0.0,
        )
    )
    other.eval()
    assert list(mine.state_dict()) == list(other.state_dict())
    other.load_state_dict(mine.state_dict(), strict=True)
    plain = [name for name, layer in other.named_modules() if type(layer) in (nn.Linear, MmcvLinear)]
    assert plain and [name for name, layer in mine.named_modules() if type(layer) is Linear] == plain

    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    features, expected = mine(images), other(images)
    assert not torch.equal(features[-1], expected[-1])  # another order of sums, so they are other kernels
    assert all(torch.allclose(x, y, rtol=1e-4, atol=1e-5) for x, y in zip(features, expected))
    gradients = [
        torch.autograd.grad(sum(x.square().mean() for x in maps), [p for p in model.parameters() if p.requires_grad])
        for maps, model in ((features, mine), (expected, other))
    ]
    for x, y in zip(*gradients, strict=True):
        assert (x - y).abs().max() <= 1e-4 * y.abs().max()
