# ADE20K, 150 classes, at 512 pixels (docs/datasets.md).
_base_ = ['../tasks/semantic.py', '../augmentations/crop_512.py']
dataset_type = 'ADE20KSemantic'
data_root = 'data/ade/ADEChallengeData2016/'

train_pipeline = [*_base_.train_load, *_base_.crop_512, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_512, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='images/training/', seg='annotations/training/'),
        ignore_index=0,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='images/validation/', seg='annotations/validation/'),
        ignore_index=0,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
