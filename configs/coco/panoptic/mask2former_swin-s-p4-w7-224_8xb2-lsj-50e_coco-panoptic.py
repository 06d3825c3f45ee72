# bash tools/dist_train.sh configs/coco/panoptic/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 54.6, AP 44.7, mIoU 64.2.
_base_ = [
    '../../_base_/models/mask2former_swin-s.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
