# ADE20K, 100 things, at 640 pixels (docs/datasets.md).
_base_ = ['../tasks/instance.py', '../augmentations/crop_640.py']
dataset_type = 'ADE20KInstance'
data_root = 'data/ade/ADEChallengeData2016/'

train_pipeline = [*_base_.train_load, *_base_.crop_640, *_base_.train_pack_all]
test_pipeline = [*_base_.test_load, _base_.resize_640, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_instance_train.json',
        data_prefix=dict(img='images/training/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_instance_val.json',
        data_prefix=dict(img='images/validation/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
