# bash tools/dist_train.sh configs/ade20k/panoptic/eomt_dinov2-l_8xb2-640-31e_ade20k-panoptic.py 8
# Expected: PQ 50.6 after a training on COCO panoptic (load_from).
# Published for tue-mps/eomt, not yet trained with this implementation.
_base_ = [
    '../../_base_/models/eomt_dinov2-l.py',
    '../../_base_/datasets/ade20k_panoptic_square-640.py',
    '../../_base_/schedules/eomt_dinov2.py',
    '../../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size_divisor=640))
train_cfg = dict(max_iters=39153, val_interval=2526)
param_scheduler = dict(end=39153)
custom_hooks = [dict(type='MaskAnnealingHook', starts=[6520, 13040, 19560, 26080], ends=[13040, 19560, 26080, 32600])]
