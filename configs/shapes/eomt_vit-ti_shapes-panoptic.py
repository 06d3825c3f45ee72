# python tools/dataset_converters/make_shapes.py data/shapes
# python tools/train.py configs/shapes/eomt_vit-ti_shapes-panoptic.py
# Expected: not measured yet (mask2former_efficientnet-lite0, whose backbone is pretrained, reaches PQ 82).
_base_ = [
    '../_base_/models/eomt_vit-ti.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/adamw_warmup-cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_queries=50), criterion=dict(num_points=2048))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=1.0))
custom_hooks = [dict(type='MaskAnnealingHook', starts=[300, 600, 900], ends=[600, 900, 1200])]
