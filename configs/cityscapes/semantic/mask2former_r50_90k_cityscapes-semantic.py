# bash tools/dist_train.sh configs/cityscapes/semantic/mask2former_r50_90k_cityscapes-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 79.4, mIoU (ms+flip) 82.2.
_base_ = [
    '../../_base_/models/mask2former_r50_syncbn.py',
    '../../_base_/datasets/cityscapes_semantic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
