# bash tools/dist_train.sh configs/coco/panoptic/mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 56.4, AP 46.3, mIoU 67.1.
_base_ = [
    '../../_base_/models/mask2former_swin-b-in21k.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
