# bash tools/dist_train.sh configs/ade20k/semantic/per-pixel-baseline_r50_160k_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 39.2, mIoU (ms+flip) 40.9.
_base_ = [
    '../../_base_/models/per-pixel-baseline_r50.py',
    '../../_base_/datasets/ade20k_semantic.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
