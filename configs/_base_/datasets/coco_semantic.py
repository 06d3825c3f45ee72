# COCO, 133 classes: the panoptic files, all segments of a class as one.
_base_ = 'coco_panoptic.py'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments', by_class=True),
    *_base_.jitter_1024,
    *_base_.train_pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = [dict(type='SemanticIoU')]
test_evaluator = val_evaluator
