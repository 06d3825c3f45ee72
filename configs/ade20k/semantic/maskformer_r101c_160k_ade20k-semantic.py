# bash tools/dist_train.sh configs/ade20k/semantic/maskformer_r101c_160k_ade20k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 46.0, mIoU (ms+flip) 48.1.
_base_ = [
    '../../_base_/models/maskformer_r101c.py',
    '../../_base_/datasets/ade20k_semantic.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
