# EoMT with DINOv3's ViT-S: 9 blocks without queries, 3 with them; rotated positions; the hub asks for an agreement.
_base_ = 'eomt_parts.py'
init_cfg = dict(type='Pretrained', checkpoint='hf://facebook/dinov3-vits16-pretrain-lvd1689m')
block = dict(num_heads=6, ffn_dims=1536, key_bias=False, norm_eps=1e-5)
model = dict(
    data_preprocessor=dict(pad_val=(0, 0, 0)),  # black, as in the reference
    backbone=dict(embed_dims=384, num_layers=9, position_rescale=2.0, init_cfg=init_cfg, **block),
    head=dict(num_blocks=3, init_cfg=init_cfg, **block))
