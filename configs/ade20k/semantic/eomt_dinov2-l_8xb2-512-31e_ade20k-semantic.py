# bash tools/dist_train.sh configs/ade20k/semantic/eomt_dinov2-l_8xb2-512-31e_ade20k-semantic.py 8
# Expected: mIoU 58.4. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov2-l.py',
    '../../_base_/datasets/ade20k_semantic_window-512.py',
    '../../_base_/schedules/eomt_dinov2.py',
    '../../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(grid_size=(32, 32)),
    head=dict(num_queries=100),
    postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')),
    sliding_window=dict(crop_size=(512, 512)))
train_cfg = dict(max_iters=39153, val_interval=2526)
param_scheduler = dict(end=39153)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[6520, 13040, 19560, 26080], ends=[13040, 19560, 26080, 32600])]
