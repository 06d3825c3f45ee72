# EoMT with DINOv3's ViT-L: 20 blocks without queries, 4 with them; rotated positions; the hub asks for an agreement.
_base_ = 'eomt_parts.py'
init_cfg = dict(type='Pretrained', checkpoint='hf://facebook/dinov3-vitl16-pretrain-lvd1689m')
block = dict(num_heads=16, ffn_dims=4096, key_bias=False, norm_eps=1e-5)
model = dict(
    data_preprocessor=dict(pad_val=(0, 0, 0)),  # black, as in the reference
    backbone=dict(embed_dims=1024, num_layers=20, position_rescale=2.0, init_cfg=init_cfg, **block),
    head=dict(num_blocks=4, init_cfg=init_cfg, **block))
