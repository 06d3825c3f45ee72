# bash tools/dist_train.sh configs/ade20k/semantic/maskformer_swin-t-p4-w7-224_160k_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 46.7, mIoU (ms+flip) 48.8.
_base_ = [
    '../../_base_/models/maskformer_swin-t.py',
    '../../_base_/datasets/ade20k_semantic.py',
    '../../_base_/schedules/maskformer_swin_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
