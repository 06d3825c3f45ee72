# bash tools/dist_train.sh configs/coco/panoptic/mask2former_dinov3-convnext-t_8xb2-lsj-50e_coco-panoptic.py 8
# Expected: not known, nothing is published; the reference's Swin-T, of the same size, has PQ 53.2.
# It is not trained yet.
_base_ = [
    '../../_base_/models/mask2former_dinov3-convnext-t.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
