# ADE20K, all 847 classes, at 512 pixels (docs/datasets.md). The reference has the data set, but no config for it.
_base_ = ['../tasks/semantic.py', '../augmentations/crop_512.py']
dataset_type = 'ADE20KFull'
data_root = 'data/ade/ADE20K_2021_17_01/'

train_pipeline = [*_base_.train_load, *_base_.crop_512, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_512, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='images_detectron2/training/', seg='annotations_detectron2/training/'),
        seg_map_suffix='.tif',
        ignore_index=65535,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='images_detectron2/validation/', seg='annotations_detectron2/validation/'),
        seg_map_suffix='.tif',
        ignore_index=65535,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
