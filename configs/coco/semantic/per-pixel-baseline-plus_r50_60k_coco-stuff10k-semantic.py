# bash tools/dist_train.sh configs/coco/semantic/per-pixel-baseline-plus_r50_60k_coco-stuff10k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 34.2, mIoU (ms+flip) 35.8.
_base_ = [
    '../../_base_/models/per-pixel-baseline-plus_r50.py',
    '../../_base_/datasets/coco_stuff10k_semantic_to-960.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
train_cfg = dict(max_iters=60000)
param_scheduler = dict(end=60000)
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=32)
