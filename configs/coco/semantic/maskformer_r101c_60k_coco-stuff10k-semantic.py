# bash tools/dist_train.sh configs/coco/semantic/maskformer_r101c_60k_coco-stuff10k-semantic.py 8
# Expected (published for the reference implementation, not yet trained with this one): mIoU 38.0, mIoU (ms+flip) 39.3.
_base_ = [
    '../../_base_/models/maskformer_r101c.py',
    '../../_base_/datasets/coco_stuff10k_semantic_to-960.py',
    '../../_base_/schedules/maskformer_resnet_poly.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, instance=None, semantic=dict(resize='scores')))
train_cfg = dict(max_iters=60000)
param_scheduler = dict(end=60000)
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=32)
