# bash tools/dist_train.sh configs/coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 51.9, AP 41.7, mIoU 61.7.
_base_ = [
    '../../_base_/models/mask2former_r50.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
