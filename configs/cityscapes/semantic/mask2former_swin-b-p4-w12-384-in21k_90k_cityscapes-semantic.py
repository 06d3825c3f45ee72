# bash tools/dist_train.sh configs/cityscapes/semantic/mask2former_swin-b-p4-w12-384-in21k_90k_cityscapes-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 83.3, mIoU (ms+flip) 84.5.
_base_ = [
    '../../_base_/models/mask2former_swin-b-in21k.py',
    '../../_base_/datasets/cityscapes_semantic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
