_base_ = 'coco_panoptic.py'
dataset_type = 'CocoInstance'
image_size = (1024, 1024)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadInstanceSegments'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=image_size, ratio_range=(0.1, 2.0)),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(_delete_=True, img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(_delete_=True, img='val2017/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='InstanceAP', ann_file='data/coco/annotations/instances_val2017.json')]
test_evaluator = val_evaluator
