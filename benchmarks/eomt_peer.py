"""transformers' EoMT as a peer of ours."""

from typing import Any

from mmengine.config import Config
from torch import nn

from mask2former.errors import ConfigError


def build_eomt(cfg: Config, num_classes: int, num_queries: int, size: tuple[int, int]) -> nn.Module:
    """transformers' EoMT of the architecture of our model config.

    Args:
        cfg: ``model`` of our config.
        num_classes: K.
        num_queries: Q.
        size: Height and width of the images.

    Raises:
        ConfigError: If the images are no squares.
    """
    from transformers import (
        EomtConfig,
        EomtDinov3Config,
        EomtDinov3ForUniversalSegmentation,
        EomtForUniversalSegmentation,
    )

    if size[0] != size[1]:
        raise ConfigError("transformers' EoMT is for square images: give --size one number, a multiple of 32.")
    vit, head, criterion = cfg.backbone, cfg.head, cfg.criterion
    options: dict[str, Any] = dict(
        hidden_size=vit.embed_dims,
        num_hidden_layers=vit.num_layers + head.num_blocks,
        num_blocks=head.num_blocks,
        num_attention_heads=vit.num_heads,
        image_size=size[0],
        patch_size=vit.get('patch_size', 16),
        num_register_tokens=vit.get('num_registers', 4),
        num_upscale_blocks=head.get('num_upscales', 2),
        layer_norm_eps=vit.get('norm_eps', 1e-6),
        drop_path_rate=vit.get('drop_path_rate', 0.0),
        num_queries=num_queries,
        num_labels=num_classes,
        train_num_points=criterion.num_points,
    )
    gated = vit.get('gated', False)
    if 'grid_size' in vit:
        # transformers computes the width of a gated network as two thirds of this.
        return EomtForUniversalSegmentation(
            EomtConfig(use_swiglu_ffn=gated, mlp_ratio=4 if gated else vit.ffn_dims // vit.embed_dims, **options)
        )
    return EomtDinov3ForUniversalSegmentation(
        EomtDinov3Config(
            intermediate_size=vit.ffn_dims,
            use_gated_mlp=gated,
            key_bias=vit.get('key_bias', True),
            pos_embed_rescale=vit.get('position_rescale'),
            **options,
        )
    )
