# python tools/dataset_converters/make_shapes.py data/shapes
# python tools/train.py configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py
# Expected: PQ 80.5 to 81.9 (things 67 to 70, stuff 97), AP 53, mIoU 90; all weights, 1500 iterations: 81.6, 83.3.
_base_ = [
    '../_base_/models/mask2former_efficientnet-lite0.py', '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/adamw_warmup-cosine.py', '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(frozen_stages=2), head=dict(num_queries=50, ffn_dims=256), criterion=dict(num_points=1024),
    pixel_decoder=dict(embed_dims=64, mask_dims=64, ffn_dims=256),
    postprocessors=dict(panoptic=dict(score_thr=0.5, overlap_thr=0.7)))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_iters=1200, val_interval=1200)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
