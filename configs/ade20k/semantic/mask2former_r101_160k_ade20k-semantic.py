# bash tools/dist_train.sh configs/ade20k/semantic/mask2former_r101_160k_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 47.8, mIoU (ms+flip) 50.1.
_base_ = [
    '../../_base_/models/mask2former_r101_syncbn.py',
    '../../_base_/datasets/ade20k_semantic.py',
    '../../_base_/schedules/adamw_poly_160k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
