# Nuclei of the 2018 Data Science Bowl (BBBC038): one thing, up to 375 of them in an image, and the background.
_base_ = 'shapes_panoptic.py'
data_root = 'data/dsb2018_nuclei/'
crop_size = (320, 320)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments'),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(
        type='LargeScaleJitter',
        crop_size=crop_size,
        scale=(512, 512),
        ratio_range=(0.75, 1.5),
        pad_val=(127, 127, 127)),
    dict(type='PackSegInputs'),
]

test_pipeline = [
    dict(type='LoadImage'),
    # Most images are 256 pixels wide and their nuclei 12: enlarged, a nucleus covers more than one mask pixel.
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQuality'),
    dict(type='InstanceAP', ann_file=data_root + 'annotations/instances_val.json', max_dets=(1, 10, 400)),
    dict(type='SemanticIoU'),
]
test_evaluator = val_evaluator
