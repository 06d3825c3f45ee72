# Mapillary Vistas v1.2, 65 classes (docs/datasets.md).
_base_ = ['../tasks/semantic.py', '../augmentations/crop_1024.py']
dataset_type = 'MapillarySemantic'
data_root = 'data/mapillary_vistas/'

train_pipeline = [*_base_.train_load, *_base_.crop_1024, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_2048, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='training/images/', seg='training/labels/'),
        ignore_index=65,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='validation/images/', seg='validation/labels/'),
        ignore_index=65,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
