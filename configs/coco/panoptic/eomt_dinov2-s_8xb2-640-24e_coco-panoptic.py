# bash tools/dist_train.sh configs/coco/panoptic/eomt_dinov2-s_8xb2-640-24e_coco-panoptic.py 8
# Expected: PQ 46.7. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov2-s.py',
    '../../_base_/datasets/coco_panoptic_square-640.py',
    '../../_base_/schedules/eomt_dinov2.py',
    '../../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size_divisor=640))
train_cfg = dict(max_iters=177384, val_interval=14782)
param_scheduler = dict(end=177384)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[29564, 73910, 118256], ends=[59128, 103474, 147820])]
