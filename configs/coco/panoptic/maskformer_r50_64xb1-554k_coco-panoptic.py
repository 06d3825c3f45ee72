# bash tools/dist_train.sh configs/coco/panoptic/maskformer_r50_64xb1-554k_coco-panoptic.py 8
# on each of 8 machines (NNODES=8): 64 GPUs.
# Expected (published for the reference implementation, not yet trained with this one): PQ 46.5.
_base_ = [
    '../../_base_/models/maskformer_r50.py',
    '../../_base_/datasets/coco_panoptic_detr.py',
    '../../_base_/schedules/maskformer_resnet_554k.py',
    '../../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size_divisor=1),
    pixel_decoder=_base_.encoder_pixel_decoder,
    postprocessors=dict(instance=None))
train_dataloader = dict(batch_size=1)
