"""Small models of transformers and timm, with random weights."""

import importlib.util
import sys

import pytest
import torch
from transformers.utils import is_torchvision_available, is_torchvision_v2_available

_PLAIN = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4)
_STAGES = dict(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1])
_SWIN = dict(embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_size=4)
HF = {
    'convnext': _STAGES,
    'swinv2': _SWIN,
    'vit': dict(_PLAIN, intermediate_size=64, image_size=64),
    'dinov2': dict(_PLAIN, mlp_ratio=2, image_size=56, patch_size=14),
    'dinov3_vit': dict(_PLAIN, intermediate_size=64, num_register_tokens=2),
    'dinov3_convnext': _STAGES,
    'resnet': dict(_STAGES, embedding_size=8, layer_type='basic'),
}
HIERARCHICAL = ('convnext', 'swinv2', 'dinov3_convnext', 'resnet')
PLAIN = ('vit', 'dinov2', 'dinov3_vit')

# Name and what makes it small.
TIMM = {
    'resnet26d': dict(layers=(1, 1, 1, 1), stem_width=8),
    'mobilenetv4_conv_small.e2400_r224_in1k': {},
    'efficientnet_b0': {},
    'convnext_atto': dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)),
    'swin_tiny_patch4_window7_224': dict(embed_dim=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4)),
    'vit_tiny_patch16_224': dict(embed_dim=32, depth=3, num_heads=2),
}
_OPERATORS: list[torch.library.Library] = []
BESIDE = f'{sys.prefix}/timm'


def hf_config(kind: str, **settings) -> dict:
    """An ``HFBackbone`` with random weights."""
    return dict(type='HFBackbone', config=dict(HF[kind], model_type=kind), pretrained=False, **settings)


def import_timm():
    """timm; skips where it is not installed.

    It needs torchvision, whose wheel is built for one torch: beside another (one without CUDA) its import fails for
    want of two operators, which timm does not call. They are declared for it. Whoever else finds torchvision would try
    it, too, so tools/setup_env.sh installs both in a folder of their own, which is seen here alone.
    """
    # They remember what they find first: that there is no torchvision.
    is_torchvision_available(), is_torchvision_v2_available()
    sys.path.append(BESIDE)
    try:
        for name in ('timm', 'torchvision'):
            if importlib.util.find_spec(name) is None:
                pytest.skip(f'{name} is not installed (bash tools/setup_env.sh --tests)')
        try:
            import torchvision  # noqa: F401
        except RuntimeError:
            if not _OPERATORS:
                library = torch.library.Library('torchvision', 'DEF')
                for name in ('nms', 'qnms'):
                    library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
                _OPERATORS.append(library)  # it would be undone with the object
        import timm
    finally:
        sys.path.remove(BESIDE)
    return timm
