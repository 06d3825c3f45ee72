# COCO in squares of 640 pixels, as EoMT takes images.
_base_ = ['coco_panoptic.py', '../augmentations/square_640.py']
train_pipeline = [*_base_.train_load, *_base_.square_640, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.fit_640, *_base_.test_pack]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
