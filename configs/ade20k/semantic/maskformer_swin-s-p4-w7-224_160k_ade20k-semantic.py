# bash tools/dist_train.sh configs/ade20k/semantic/maskformer_swin-s-p4-w7-224_160k_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 49.8, mIoU (ms+flip) 51.0.
_base_ = [
    '../../_base_/models/maskformer_swin-s.py',
    '../../_base_/datasets/ade20k_semantic.py',
    '../../_base_/schedules/maskformer_swin_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
