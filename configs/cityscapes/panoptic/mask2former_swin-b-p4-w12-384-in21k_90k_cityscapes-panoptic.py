# bash tools/dist_train.sh configs/cityscapes/panoptic/mask2former_swin-b-p4-w12-384-in21k_90k_cityscapes-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 66.1, AP 42.8, mIoU 82.7.
_base_ = [
    '../../_base_/models/mask2former_swin-b-in21k.py',
    '../../_base_/datasets/cityscapes_panoptic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
