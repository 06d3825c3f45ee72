# bash tools/dist_train.sh configs/ade20k/semantic/mask2former_swin-b-p4-w12-384_160k-640_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 52.4, mIoU (ms+flip) 53.7.
_base_ = [
    '../../_base_/models/mask2former_swin-b.py',
    '../../_base_/datasets/ade20k_semantic_640.py',
    '../../_base_/schedules/adamw_poly_160k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
