# bash tools/dist_train.sh configs/coco/panoptic/eomt_dinov3-l_8xb2-640-12e_coco-panoptic.py 8
# Expected: PQ 56.8. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov3-l.py',
    '../../_base_/datasets/coco_panoptic_square-640.py',
    '../../_base_/schedules/eomt_dinov3.py',
    '../../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size_divisor=640))
train_cfg = dict(max_iters=88692, val_interval=14782)
param_scheduler = dict(end=88692)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[0, 29564, 44346, 59128], ends=[3000, 44346, 59128, 73910])]
