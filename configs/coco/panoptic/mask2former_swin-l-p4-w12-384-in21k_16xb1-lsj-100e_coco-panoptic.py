# bash tools/dist_train.sh configs/coco/panoptic/mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py 8
# on each of two machines (NNODES=2): 16 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): PQ 57.8, AP 48.6, mIoU 67.4.
_base_ = [
    '../../_base_/models/mask2former_swin-l.py',
    '../../_base_/datasets/coco_panoptic.py',
    '../../_base_/schedules/adamw_step_100e.py',
    '../../_base_/default_runtime.py',
]
model = dict(head=dict(num_queries=200))
train_dataloader = dict(batch_size=1)
