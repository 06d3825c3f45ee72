# bash tools/dist_train.sh configs/ade20k/semantic/eomt_dinov3-l_8xb2-512-16e_ade20k-semantic.py 8
# Expected: mIoU 59.5. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov3-l.py',
    '../../_base_/datasets/ade20k_semantic_window-512.py',
    '../../_base_/schedules/eomt_dinov3.py',
    '../../_base_/default_runtime.py',
]
model = dict(
    head=dict(num_queries=100),
    postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')),
    sliding_window=dict(crop_size=(512, 512)))
train_cfg = dict(max_iters=20208, val_interval=20208)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=1.0))
param_scheduler = dict(end=20208)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[0, 6520, 9780, 13040], ends=[3000, 9780, 13040, 16300])]
