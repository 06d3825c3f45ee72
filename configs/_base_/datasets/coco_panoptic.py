# COCO, 133 classes: 80 things and 53 stuff classes (docs/datasets.md).
_base_ = ['../tasks/panoptic.py', '../augmentations/jitter_1024.py']
dataset_type = 'CocoPanoptic'
data_root = 'data/coco/'

train_pipeline = [*_base_.train_load, *_base_.jitter_1024, *_base_.train_pack_all]
test_pipeline = [*_base_.test_load, _base_.resize_800, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQuality'),
    dict(type='InstanceAP', ann_file=data_root + 'annotations/instances_val2017.json'),
    dict(type='SemanticIoU'),
]
test_evaluator = val_evaluator
