# python tools/dataset_converters/make_moving_shapes.py data/moving_shapes
# python tools/train.py configs/shapes/video-mask2former_efficientnet-lite0_moving-shapes.py
# Expected: not measured yet (0 runs).
_base_ = [
    '../_base_/models/video-mask2former_efficientnet-lite0.py',
    '../_base_/datasets/moving_shapes.py',
    '../_base_/schedules/adamw_warmup-cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(
    pixel_decoder=dict(embed_dims=64, mask_dims=64, ffn_dims=256),
    head=dict(num_queries=30, ffn_dims=256),
    criterion=dict(num_points=2048))
train_cfg = dict(max_iters=1200, val_interval=600)
