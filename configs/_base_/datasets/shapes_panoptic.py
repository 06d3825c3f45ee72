# A generated data set (tools/dataset_converters/make_shapes.py data/shapes): no download.
_base_ = 'coco_panoptic.py'
dataset_type = 'CocoPanopticFormat'
data_root = 'data/shapes/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

# Instances are the things of the panoptic annotation, so there is one source of truth.
val_evaluator = [dict(type='PanopticQuality'), dict(type='InstanceAP'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
