# EoMT with DINOv2's ViT-B: 9 blocks without queries, 3 with them; patches of 14 pixels become 16,
# and learned positions those of images of 640.
_base_ = 'eomt_parts.py'
init_cfg = dict(type='Pretrained', checkpoint='timm://vit_base_patch14_reg4_dinov2.lvd142m')
block = dict(num_heads=12, ffn_dims=3072)
model = dict(
    data_preprocessor=dict(pad_val=(0, 0, 0)),  # black, as in the reference
    backbone=dict(embed_dims=768, num_layers=9, grid_size=(40, 40), init_cfg=init_cfg, **block),
    head=dict(num_blocks=3, init_cfg=init_cfg, **block))
