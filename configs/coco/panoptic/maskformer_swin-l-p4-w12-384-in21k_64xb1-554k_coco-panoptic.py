# bash tools/dist_train.sh configs/coco/panoptic/maskformer_swin-l-p4-w12-384-in21k_64xb1-554k_coco-panoptic.py 8
# on each of 8 machines (NNODES=8): 64 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): PQ 52.7.
_base_ = [
    '../../_base_/models/maskformer_swin-l.py',
    '../../_base_/datasets/coco_panoptic_detr.py',
    '../../_base_/schedules/maskformer_swin_554k.py',
    '../../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size_divisor=1), postprocessors=dict(instance=None))
train_pipeline = [*_base_.train_load, *_base_.detr_1000, *_base_.train_pack_all]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
