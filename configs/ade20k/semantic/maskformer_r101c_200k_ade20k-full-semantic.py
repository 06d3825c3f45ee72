# bash tools/dist_train.sh configs/ade20k/semantic/maskformer_r101c_200k_ade20k-full-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 17.4.
_base_ = [
    '../../_base_/models/maskformer_r101c.py',
    '../../_base_/datasets/ade20k_full_semantic.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
train_cfg = dict(max_iters=200000)
param_scheduler = dict(end=200000)
