# 16 images for training and, the same, for testing: can the model learn what it sees?
_base_ = 'coco_panoptic.py'
data_root = 'data/coco_panoptic_200/'
image_size = (448, 448)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(data_root=data_root, indices=16, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
        indices=16,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='PanopticQuality'), dict(type='InstanceAP'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
