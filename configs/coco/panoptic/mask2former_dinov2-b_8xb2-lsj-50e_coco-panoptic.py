# bash tools/dist_train.sh configs/coco/panoptic/mask2former_dinov2-b_8xb2-lsj-50e_coco-panoptic.py 8
# Expected: not known, nothing is published; the reference's Swin-B of ImageNet-21k, of the same size, has PQ 56.4.
# It is not trained yet.
_base_ = [
    '../../_base_/models/mask2former_dinov2-b.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
# Learning rates as ViTDet-B has them: whole, and lower in each block before (arXiv 2203.16527).
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=1.0, layer_decay=0.7))
