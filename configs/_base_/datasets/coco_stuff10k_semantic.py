# COCO-Stuff-10k, 171 classes, at 640 pixels (docs/datasets.md). The reference has the data set, but no config for it.
_base_ = ['../tasks/semantic.py', '../augmentations/crop_640.py']
dataset_type = 'CocoStuff10k'
data_root = 'data/coco/coco_stuff_10k/'

train_pipeline = [*_base_.train_load, *_base_.crop_640, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_640, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='images_detectron2/train/', seg='annotations_detectron2/train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='images_detectron2/test/', seg='annotations_detectron2/test/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
