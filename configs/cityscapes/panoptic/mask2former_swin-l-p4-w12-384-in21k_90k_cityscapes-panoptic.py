# bash tools/dist_train.sh configs/cityscapes/panoptic/mask2former_swin-l-p4-w12-384-in21k_90k_cityscapes-panoptic.py 8
# on each of two machines (NNODES=2): 16 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): PQ 66.6, AP 43.6, mIoU 82.9.
_base_ = [
    '../../_base_/models/mask2former_swin-l.py',
    '../../_base_/datasets/cityscapes_panoptic.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(head=dict(num_queries=200))
train_dataloader = dict(batch_size=1)
