# bash tools/dist_train.sh configs/cityscapes/semantic/maskformer_r101c_90k_cityscapes-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 79.7, mIoU (ms+flip) 81.4.
_base_ = [
    '../../_base_/models/maskformer_r101c.py',
    '../../_base_/datasets/cityscapes_semantic.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
train_cfg = dict(max_iters=90000)
param_scheduler = dict(end=90000)
