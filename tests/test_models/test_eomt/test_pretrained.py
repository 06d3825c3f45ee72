"""EoMT's two parts start from the weights of one vision transformer."""

import re

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from benchmarks.synthetic import randomise
from mask2former.errors import CheckpointError, ConfigError
from mask2former.models import EncoderOnlyHead
from mask2former.models.backbones import PlainViT
from mask2former.models.pretrained_vit import resize_patches
from mask2former.registry import MODELS

from .small import small_config

C, HEADS, N, SIDE = 64, 2, 3, 64
KINDS = ('dinov2', 'dinov2-gated', 'dinov3')


def build_peer(kind):
    """transformers' DINOv2 or DINOv3, random."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, DINOv3ViTConfig, DINOv3ViTModel

    sizes = dict(hidden_size=C, num_hidden_layers=N, num_attention_heads=HEADS, num_register_tokens=4)
    torch.manual_seed(0)
    if kind == 'dinov3':
        peer = DINOv3ViTModel(DINOv3ViTConfig(intermediate_size=4 * C, pos_embed_rescale=None, **sizes))
    else:
        gated = kind.endswith('gated')
        config = Dinov2WithRegistersConfig(image_size=SIDE, patch_size=16, use_swiglu_ffn=gated, **sizes)
        peer = Dinov2WithRegistersModel(config)
    randomise(peer)
    return peer.eval()


def options(kind):
    gated = kind == 'dinov2-gated'
    block = dict(ffn_dims=176 if gated else 4 * C, gated=gated, key_bias=kind != 'dinov3', num_heads=HEADS)
    return dict(block, norm_eps=1e-5 if kind == 'dinov3' else 1e-6)


def build_backbone(kind, path, layers=N, side=SIDE, patch=16):
    grid = {} if kind == 'dinov3' else dict(grid_size=(side // patch, side // patch))
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    backbone = PlainViT(C, layers, patch_size=patch, init_cfg=init_cfg, **options(kind), **grid)
    backbone.init_weights()
    return backbone.eval()


def build_head(kind, path, blocks):
    init_cfg = dict(type='Pretrained', checkpoint=f'backbone://{path}')
    head = EncoderOnlyHead(5, C, C, num_queries=3, num_blocks=blocks, init_cfg=init_cfg, **options(kind))
    head.init_weights()
    return head.eval()


def facebook_names(state, kind):
    """The same weights as facebook's own files have them."""
    result = {'rope_embed.periods': torch.ones(16)} if kind == 'dinov3' else {}
    for name, value in state.items():
        if re.search(r'\.(key|value|k_proj|v_proj)\.', name):
            continue
        if match := re.search(r'(layer\.\d+\.)attention\.(?:attention\.query|q_proj)\.(\w+)', name):
            others = ('k_proj', 'v_proj') if kind == 'dinov3' else ('key', 'value')
            names = [name, *(name.replace('q_proj', o).replace('query', o) for o in others)]
            value = torch.cat([state.get(n, torch.full((C,), float('nan'))) for n in names])
            name = f'{match[1]}attn.qkv.{match[2]}'
            if kind == 'dinov3' and match[2] == 'bias':
                result[name.replace('layer', 'blocks') + '_mask'] = torch.ones(3 * C)
        name = re.sub(r'^(embeddings|encoder)\.', '', name)
        for old, new in (
            (r'^layer\.', 'blocks.'),
            (r'attention\.(output\.dense|o_proj)', 'attn.proj'),
            (r'layer_scale(\d)\.lambda1', r'ls\1.gamma'),
            (r'patch_embeddings\.(projection\.)?', 'patch_embed.proj.'),
            ('position_embeddings', 'pos_embed'),
            ('weights_in', 'w12'),
            ('weights_out', 'w3'),
            ('up_proj', 'fc1'),
            ('down_proj', 'fc2'),
            ('layernorm', 'norm'),
        ):
            name = re.sub(old, new, name)
        result[name.replace('register_tokens', 'storage_tokens') if kind == 'dinov3' else name] = value
    return result


@pytest.mark.parametrize('layout', ['transformers', 'facebook'])
@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_features_are_the_peer_s(kind, layout, tmp_path):
    peer, path = build_peer(kind), tmp_path / 'vit'
    peer.save_pretrained(path)
    if layout == 'facebook':
        names = facebook_names(load_file(path / 'model.safetensors'), kind)
        path = tmp_path / 'vit.pth'
        torch.save(names, path)
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    patches, prefix, *_ = build_backbone(kind, path)(images)
    head = build_head(kind, path, 1)
    tokens = torch.cat((prefix.flatten(2), patches.flatten(2)), dim=2).transpose(1, 2)
    expected = peer(pixel_values=images).last_hidden_state
    torch.testing.assert_close(head.norm(tokens), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_the_head_has_the_last_blocks(kind, tmp_path):
    build_peer(kind).save_pretrained(tmp_path)
    whole = build_backbone(kind, tmp_path).blocks.state_dict()
    backbone, head = build_backbone(kind, tmp_path, layers=1), build_head(kind, tmp_path, 2)
    parts = {f'{i}.': backbone.blocks[i] for i in range(1)} | {f'{1 + i}.': head.blocks[i] for i in range(2)}
    parts = {start + name: value for start, block in parts.items() for name, value in block.state_dict().items()}
    assert parts.keys() == whole.keys()
    assert all(torch.equal(value, whole[name]) for name, value in parts.items())


@torch.no_grad()
def test_other_patches_and_positions(tmp_path):
    """Larger patches see an enlarged image as the old ones saw the image; positions are of as many patches."""
    build_peer('dinov2').save_pretrained(tmp_path)
    own, other = build_backbone('dinov2', tmp_path), build_backbone('dinov2', tmp_path, side=6 * 20, patch=20)
    assert other.positions.shape == (1, C, 6, 6)
    constant = own.positions.mean((2, 3)), other.positions.mean((2, 3))
    torch.testing.assert_close(*constant, rtol=0, atol=0.2 * own.positions.std().item())
    patch = torch.randn(1, 3, 16, 16)
    enlarged = F.interpolate(patch, (20, 20), mode='bicubic', antialias=True)
    torch.testing.assert_close(other.patch_embed(enlarged), own.patch_embed(patch), rtol=1e-4, atol=1e-4)


def test_smaller_patches_are_the_nearest():
    """No other embedding agrees better on random patches, in the mean square."""
    weight = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    small = resize_patches(weight, (14, 14))
    pixels = torch.eye(256, dtype=torch.float64).view(256, 1, 16, 16)  # they span all patches
    shrunk = F.interpolate(pixels, (14, 14), mode='bicubic', antialias=True).flatten(1)
    error = shrunk @ small[0, 0].flatten() - weight[0, 0].flatten()
    assert (shrunk.T @ error).abs().max() < 1e-10 and error.abs().max() > 1e-3


def test_what_does_not_fit_is_said(tmp_path):
    build_peer('dinov3').save_pretrained(tmp_path / 'v3')
    build_peer('dinov2').save_pretrained(tmp_path / 'v2')
    for kind, path in (('dinov2', 'v3'), ('dinov3', 'v2'), ('dinov2-gated', 'v2')):
        with pytest.raises(CheckpointError, match='does not fit the PlainViT: .*; give the weights of the same'):
            build_backbone(kind, tmp_path / path)
    with pytest.raises(CheckpointError, match=r"does not fit the PlainViT: 'blocks\.3\."):
        build_backbone('dinov3', tmp_path / 'v3', layers=4)
    with pytest.raises(CheckpointError, match='does not fit the EncoderOnlyHead'):
        build_head('dinov2', tmp_path / 'v3', 1)


def test_blocks_in_both_parts_or_in_none_are_refused(tmp_path):
    build_peer('dinov3').save_pretrained(tmp_path)
    cfg, init_cfg = small_config('dinov3'), dict(type='Pretrained', checkpoint=str(tmp_path))
    for part in ('backbone', 'head'):
        cfg[part].update(options('dinov3'), init_cfg=init_cfg)
    cfg['backbone']['embed_dims'] = C
    for layers, blocks in ((2, 2), (1, 1)):
        cfg['backbone']['num_layers'], cfg['head']['num_blocks'] = layers, blocks
        with pytest.raises(ConfigError, match=rf'it has {N}: set model.backbone.num_layers to {N - blocks}'):
            MODELS.build(cfg).init_weights()
    cfg['backbone']['num_layers'] = N - 1
    MODELS.build(cfg).init_weights()
