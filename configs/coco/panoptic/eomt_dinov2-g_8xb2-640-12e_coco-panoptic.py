# bash tools/dist_train.sh configs/coco/panoptic/eomt_dinov2-g_8xb2-640-12e_coco-panoptic.py 8
# Expected: PQ 57.0. Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov2-g.py',
    '../../_base_/datasets/coco_panoptic_square-640.py',
    '../../_base_/schedules/eomt_dinov2.py',
    '../../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size_divisor=640))
train_cfg = dict(max_iters=88692, val_interval=14782)
param_scheduler = dict(end=88692)
custom_hooks = [
    dict(type='MaskAnnealingHook', starts=[14782, 25869, 36955, 48042, 59128],
         ends=[29564, 40651, 51737, 62824, 73910])]
