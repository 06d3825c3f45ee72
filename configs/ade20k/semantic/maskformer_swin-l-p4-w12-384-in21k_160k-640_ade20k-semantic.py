# bash tools/dist_train.sh configs/ade20k/semantic/maskformer_swin-l-p4-w12-384-in21k_160k-640_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 54.1, mIoU (ms+flip) 55.6.
_base_ = [
    '../../_base_/models/maskformer_swin-l.py',
    '../../_base_/datasets/ade20k_semantic_640.py',
    '../../_base_/schedules/maskformer_swin_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
