# bash tools/dist_train.sh configs/cityscapes/semantic/mask2former_swin-t-p4-w7-224_90k_cityscapes-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 82.1, mIoU (ms+flip) 83.0.
_base_ = [
    '../../_base_/models/mask2former_swin-t.py',
    '../../_base_/datasets/cityscapes_semantic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
