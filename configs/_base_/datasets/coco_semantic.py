# COCO, 133 classes: the panoptic files, all segments of a class as one.
_base_ = 'coco_panoptic.py'
image_size = (1024, 1024)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments', by_class=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=image_size, ratio_range=(0.1, 2.0)),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = [dict(type='SemanticIoU')]
test_evaluator = val_evaluator
