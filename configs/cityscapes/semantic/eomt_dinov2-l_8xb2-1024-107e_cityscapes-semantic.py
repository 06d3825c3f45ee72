# bash tools/dist_train.sh configs/cityscapes/semantic/eomt_dinov2-l_8xb2-1024-107e_cityscapes-semantic.py 8
# Expected: mIoU 84.2. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov2-l.py',
    '../../_base_/datasets/cityscapes_semantic_window-1024.py',
    '../../_base_/schedules/eomt_dinov2.py',
    '../../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(grid_size=(64, 64)),
    head=dict(num_queries=100),
    postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')),
    sliding_window=dict(crop_size=(1024, 1024)))
train_cfg = dict(max_iters=19795, val_interval=19795)
param_scheduler = dict(end=19795)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[3317, 6634, 9951, 13268], ends=[6634, 9951, 13268, 16585])]
