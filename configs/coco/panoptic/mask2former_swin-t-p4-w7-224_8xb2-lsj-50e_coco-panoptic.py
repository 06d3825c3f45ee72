# bash tools/dist_train.sh configs/coco/panoptic/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 53.2, AP 43.3, mIoU 63.2.
_base_ = [
    '../../_base_/models/mask2former_swin-t.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
