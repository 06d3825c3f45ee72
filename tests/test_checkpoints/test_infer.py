"""The names and shapes that the weights of a model tell are the model's own."""

import pytest
import torch

from mask2former.checkpoints.infer import expected_shapes, infer
from mask2former.errors import CheckpointError
from mask2former.registry import MODELS

from .small import build_small, small_config


@pytest.mark.parametrize(
    ('backbone', 'pixel_decoder', 'head'),
    [
        (dict(type='mmdet.ResNet', depth=50, stem_channels=8, base_channels=8), dict(num_levels=2, num_points=3), {}),
        (dict(type='mmdet.ResNet', depth=34, stem_channels=16, base_channels=8), dict(num_levels=4), dict(num_heads=4)),
        (dict(type='FrozenBNResNet', depth=18), dict(num_levels=1, num_heads=4, mask_dims=16, num_groups=4), {}),
        (dict(type='mmdet.SwinTransformer', embed_dims=16, depths=(1, 1, 2, 1), num_heads=(2, 4, 2, 8)), {}, {}),
        (dict(type='EfficientNetLite'), dict(num_layers=2, ffn_dims=8), dict(num_layers=3, num_queries=1)),
        (dict(type='EfficientNetLite', out_indices=(0, 2, 3)), dict(num_levels=2), {}),
    ],
)
def test_shapes_are_the_model_s(backbone, pixel_decoder, head):
    config = small_config('resnet')
    config.update(backbone=backbone)
    config['pixel_decoder'].update(pixel_decoder)
    config['head'].update(head)
    state = MODELS.build(config).state_dict()
    own = {name: tuple(value.shape) for name, value in state.items()}
    if backbone['type'] == 'EfficientNetLite':  # of which nothing is known
        own = {name: shape for name, shape in own.items() if not name.startswith('backbone.')}
    assert dict(expected_shapes(infer(state))) == own


def test_heads_that_do_not_divide_the_channels_are_refused():
    state = build_small('swin').state_dict()
    state['backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table'] = torch.zeros(169, 3)
    with pytest.raises(CheckpointError, match='has 3 attention heads for 8 channels'):
        infer(state)
