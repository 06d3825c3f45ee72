# bash tools/dist_train.sh configs/ade20k/semantic/per-pixel-baseline_r50_200k_ade20k-full-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 12.4.
_base_ = [
    '../../_base_/models/per-pixel-baseline_r50.py',
    '../../_base_/datasets/ade20k_full_semantic.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
train_cfg = dict(max_iters=200000)
param_scheduler = dict(end=200000)
