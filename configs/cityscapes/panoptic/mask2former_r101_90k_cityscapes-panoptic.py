# bash tools/dist_train.sh configs/cityscapes/panoptic/mask2former_r101_90k_cityscapes-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 62.4, AP 37.7, mIoU 78.6.
_base_ = [
    '../../_base_/models/mask2former_r101_syncbn.py',
    '../../_base_/datasets/cityscapes_panoptic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
