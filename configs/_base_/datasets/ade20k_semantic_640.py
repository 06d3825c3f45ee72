# ADE20K, 150 classes, at 640 pixels.
_base_ = ['ade20k_semantic.py', '../augmentations/crop_640.py']
train_pipeline = [*_base_.train_load, *_base_.crop_640, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_640, *_base_.test_pack]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
