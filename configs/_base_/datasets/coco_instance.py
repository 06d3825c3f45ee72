# COCO, 80 things (docs/datasets.md).
_base_ = ['../tasks/instance.py', '../augmentations/jitter_1024.py']
dataset_type = 'CocoInstance'
data_root = 'data/coco/'

train_pipeline = [*_base_.train_load, *_base_.jitter_1024, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_800, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
