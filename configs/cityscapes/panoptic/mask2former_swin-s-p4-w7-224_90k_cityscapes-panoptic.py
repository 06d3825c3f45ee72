# bash tools/dist_train.sh configs/cityscapes/panoptic/mask2former_swin-s-p4-w7-224_90k_cityscapes-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 64.8, AP 40.7, mIoU 81.8.
_base_ = [
    '../../_base_/models/mask2former_swin-s.py',
    '../../_base_/datasets/cityscapes_panoptic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
