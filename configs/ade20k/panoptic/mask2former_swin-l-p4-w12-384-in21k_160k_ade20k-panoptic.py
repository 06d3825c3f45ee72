# bash tools/dist_train.sh configs/ade20k/panoptic/mask2former_swin-l-p4-w12-384-in21k_160k_ade20k-panoptic.py 8
# on each of two machines (NNODES=2): 16 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): PQ 48.1, AP 34.2, mIoU 54.5.
# That PQ counts stuff under things, too: ours is as high or higher for the same results (docs/correctness.md).
_base_ = [
    '../../_base_/models/mask2former_swin-l.py',
    '../../_base_/datasets/ade20k_panoptic.py',
    '../../_base_/schedules/adamw_poly_160k.py',
    '../../_base_/default_runtime.py',
]
model = dict(head=dict(num_queries=200))
train_dataloader = dict(batch_size=1)
