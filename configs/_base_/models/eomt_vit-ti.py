# EoMT with a ViT-Ti of random weights: 9 blocks without queries, 3 with them; positions are rotated, as in DINOv3.
_base_ = 'eomt_parts.py'
model = dict(
    backbone=dict(embed_dims=192, num_layers=9, num_heads=3, ffn_dims=768),
    head=dict(num_blocks=3, num_heads=3, ffn_dims=768))
