# The 16 images of coco_panoptic_overfit.py at 256 pixels, for a model that learns from nothing.
_base_ = 'coco_panoptic_overfit.py'
resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
train_pipeline = [*_base_.train_load, resize, *_base_.train_pack]
test_pipeline = [*_base_.test_load, resize, *_base_.test_pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
