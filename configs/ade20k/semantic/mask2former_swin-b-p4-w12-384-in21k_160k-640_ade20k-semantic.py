# bash tools/dist_train.sh configs/ade20k/semantic/mask2former_swin-b-p4-w12-384-in21k_160k-640_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 53.9, mIoU (ms+flip) 55.1.
_base_ = [
    '../../_base_/models/mask2former_swin-b-in21k.py',
    '../../_base_/datasets/ade20k_semantic_640.py',
    '../../_base_/schedules/adamw_poly_160k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
