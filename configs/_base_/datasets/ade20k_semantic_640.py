# ADE20K, 150 classes, at 640 pixels.
_base_ = 'ade20k_semantic.py'
crop_size = (640, 640)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadSemanticSegments'),
    dict(
        type='RandomChoiceResize',
        scales=[(2560, int(x * 0.1 * 640)) for x in range(5, 21)],
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=crop_size, pad_val=dict(img=(128, 128, 128), seg=0)),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    dict(type='LoadSemanticGroundTruth'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
