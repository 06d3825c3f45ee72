# python tools/dataset_converters/make_moving_shapes.py data/moving_shapes
# python tools/train.py configs/shapes/video-mask2former_efficientnet-lite0_moving-shapes.py
# Expected: AP 31.3, AP50 51.7 of tracks (one run; 88 minutes of one thread of a busy AMD EPYC). From a model of images,
# by the config with `from-shapes` at its end, it is AP 42.2.
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
train_cfg = dict(max_iters=1800, val_interval=600)
