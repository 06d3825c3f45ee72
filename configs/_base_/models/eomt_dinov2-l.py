# EoMT with DINOv2's ViT-L: 20 blocks without queries, 4 with them; patches of 14 pixels become 16,
# and learned positions those of images of 640.
_base_ = 'eomt_parts.py'
init_cfg = dict(type='Pretrained', checkpoint='timm://vit_large_patch14_reg4_dinov2.lvd142m')
block = dict(num_heads=16, ffn_dims=4096)
model = dict(
    data_preprocessor=dict(pad_val=(0, 0, 0)),  # black, as in the reference
    backbone=dict(embed_dims=1024, num_layers=20, grid_size=(40, 40), init_cfg=init_cfg, **block),
    head=dict(num_blocks=4, init_cfg=init_cfg, **block))
