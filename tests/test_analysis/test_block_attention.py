"""The attention of an encoder-only model's blocks, and what the head predicts before each of them."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mask2former.analysis.attention import record_attention
from mask2former.analysis.block_attention import all_outputs
from mask2former.analysis.inside import can_look_inside, look_inside
from mask2former.analysis.inside_page import inside_page
from mask2former.apis import SegInferencer
from mask2former.models.vit_layers import rotate
from tests.test_models.test_eomt import small
from tests.test_models.test_eomt.small import build_small, make_confident, small_config

S = 4 * 6  # patches


def run(kind: str, probability: float):
    model = build_small(kind)
    images = torch.randn(2, 3, 64, 96, dtype=torch.double)
    make_confident(model, images)
    model.head.mask_probability.fill_(probability)
    with record_attention(model.head) as layers, torch.no_grad():
        return model, images, model.extract(images), list(layers)


@pytest.mark.parametrize('probability', [0.0, 1.0])
@pytest.mark.parametrize('kind', small.KINDS)
def test_weights_are_those_of_torch(kind, probability):
    """Of what falls on patches; with the identity for values its attention gives its weights."""
    model, _, _, layers = run(kind, probability)
    assert len(layers) == small.BLOCKS
    for block, layer in zip(model.head.blocks, layers):
        q, k = (
            proj(block.norm1(layer.tokens)).unflatten(-1, (small.HEADS, -1)).transpose(1, 2)
            for proj in (block.attn.q_proj, block.attn.k_proj)
        )
        if layer.rotation is not None:
            q, k = rotate(q, layer.rotation), rotate(k, layer.rotation)
        T = k.shape[2]
        mask = None if layer.mask is None else F.pad(layer.mask, (T - S, 0), value=True)[:, None]
        eye = torch.eye(T, dtype=torch.double).expand(2, small.HEADS, T, T)
        weights = F.scaled_dot_product_attention(q[:, :, : small.Q], k, eye, attn_mask=mask)[..., -S:]
        shares = (weights / weights.sum(-1, keepdim=True)).nan_to_num(0.0)  # 0 where a query may look at no patch
        torch.testing.assert_close(layer.weights, shares.mean(1), rtol=0, atol=1e-12)
        torch.testing.assert_close(layer.heads(1, 3), shares[1, :, 3], rtol=0, atol=1e-12)
        assert (layer.mask is None) == (probability == 0) and layer.sizes == [(4, 6)]


@torch.no_grad()
@pytest.mark.parametrize('kind', small.KINDS)
def test_outputs_are_those_of_a_training(kind):
    model, images, output, layers = run(kind, 0.0)
    found, expected = all_outputs(model.head, layers, output), model.train().extract(images)
    assert len(output.class_logits) == 1 and len(found.class_logits) == small.D
    for ours, theirs in zip(found[:3], expected[:3]):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_one_looks_inside_of_an_encoder_only_model(tmp_path, tiny_run):
    cfg = Config.fromfile(tiny_run.config)
    cfg.model = small_config('dinov3')
    del cfg.model['metainfo']
    cfg.model.metainfo = dict(classes=small.CLASSES, isthing=small.ISTHING)
    cfg.test_dataloader.dataset.pipeline = [dict(type='LoadImage'), dict(type='PackSegInputs')]
    model = make_confident(build_small('dinov3'), torch.randn(1, 3, 64, 96, dtype=torch.double)).float()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    inferencer = SegInferencer(cfg, tmp_path / 'a.pth', device='cpu')
    assert can_look_inside(inferencer.model)
    cv2.imwrite(str(tmp_path / 'a.png'), np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    inside = look_inside(inferencer, tmp_path / 'a.png', queries=[2])
    view = inside.queries[0].view
    assert len(view.masks) == small.D and len(view.layers) == small.BLOCKS and view.missing == 0
    assert all(layer.heads.shape == (small.HEADS, 4, 6) and 0 <= layer.inside <= 1 for layer in view.layers)
    assert inside.queries[0].samples == []
    assert '<html' in inside_page(inside, 'a.png')
