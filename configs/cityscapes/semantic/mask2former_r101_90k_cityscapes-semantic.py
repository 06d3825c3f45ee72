# bash tools/dist_train.sh configs/cityscapes/semantic/mask2former_r101_90k_cityscapes-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 80.1, mIoU (ms+flip) 81.9.
_base_ = [
    '../../_base_/models/mask2former_r101_syncbn.py',
    '../../_base_/datasets/cityscapes_semantic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
