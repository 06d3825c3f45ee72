# bash tools/dist_train.sh configs/coco/instance/eomt_dinov3-l_8xb2-640-12e_coco-instance.py 8
# Expected: AP 45.9. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov3-l.py',
    '../../_base_/datasets/coco_instance_square-640.py',
    '../../_base_/schedules/eomt_dinov3.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None), data_preprocessor=dict(size_divisor=640))
train_cfg = dict(max_iters=87948, val_interval=14658)
param_scheduler = dict(end=87948)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[14782, 29564, 44346, 59128], ends=[29564, 44346, 59128, 73910])]
