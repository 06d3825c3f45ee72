# bash tools/dist_train.sh configs/mapillary/panoptic/mask2former_swin-l-p4-w12-384-in21k_300k_mapillary-panoptic.py 8
# on each of two machines (NNODES=2): 16 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): PQ 45.5, mIoU 60.8.
_base_ = [
    '../../_base_/models/mask2former_swin-l.py',
    '../../_base_/datasets/mapillary_panoptic.py',
    '../../_base_/schedules/adamw_poly_300k.py',
    '../../_base_/default_runtime.py',
]
model = dict(head=dict(num_queries=200), postprocessors=dict(panoptic=dict(score_thr=0.0), instance=None))
val_evaluator = [dict(type='PanopticQuality'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
train_dataloader = dict(batch_size=1)
