# EoMT with DINOv2's ViT-g: 35 blocks without queries, 5 with them; patches of 14 pixels become 16,
# and learned positions those of images of 640.
_base_ = 'eomt_parts.py'
init_cfg = dict(type='Pretrained', checkpoint='timm://vit_giant_patch14_reg4_dinov2.lvd142m')
block = dict(num_heads=24, ffn_dims=4096, gated=True)
model = dict(
    data_preprocessor=dict(pad_val=(0, 0, 0)),  # black, as in the reference
    backbone=dict(embed_dims=1536, num_layers=35, grid_size=(40, 40), init_cfg=init_cfg, **block),
    head=dict(num_blocks=5, init_cfg=init_cfg, **block))
