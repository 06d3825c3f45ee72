# bash tools/dist_train.sh configs/cityscapes/panoptic/mask2former_r50_90k_cityscapes-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 62.1, AP 37.3, mIoU 77.5.
_base_ = [
    '../../_base_/models/mask2former_r50_syncbn.py',
    '../../_base_/datasets/cityscapes_panoptic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
