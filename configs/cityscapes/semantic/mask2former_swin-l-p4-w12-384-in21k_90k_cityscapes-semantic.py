# bash tools/dist_train.sh configs/cityscapes/semantic/mask2former_swin-l-p4-w12-384-in21k_90k_cityscapes-semantic.py 8
# on each of two machines (NNODES=2): 16 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): mIoU 83.3, mIoU (ms+flip) 84.3.
_base_ = [
    '../../_base_/models/mask2former_swin-l.py',
    '../../_base_/datasets/cityscapes_semantic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
train_dataloader = dict(batch_size=1)
