# Mapillary Vistas v1.2, 37 things and 28 stuff classes (docs/datasets.md).
_base_ = ['../tasks/panoptic.py', '../augmentations/crop_1024.py']
dataset_type = 'MapillaryPanoptic'
data_root = 'data/mapillary_vistas/'

train_pipeline = [*_base_.train_load, *_base_.crop_1024, *_base_.train_pack_all]
test_pipeline = [*_base_.test_load, _base_.resize_2048, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='training/panoptic/panoptic_2018.json',
        data_prefix=dict(img='training/images/', seg='training/panoptic/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='validation/panoptic/panoptic_2018.json',
        data_prefix=dict(img='validation/images/', seg='validation/panoptic/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
