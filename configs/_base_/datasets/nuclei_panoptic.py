# Nuclei of the 2018 Data Science Bowl (BBBC038): one thing, up to 375 of them in an image, and the background.
_base_ = 'shapes_panoptic.py'
data_root = 'data/dsb2018_nuclei/'
image_size = (256, 256)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticSegments'),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='RandomResize', scale=image_size, ratio_range=(1.0, 2.0), resize_type='Resize', keep_ratio=True),
    dict(type='RandomCrop', crop_size=image_size),
    dict(type='Pad', size=image_size, pad_val=dict(img=(127, 127, 127), seg=0)),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQuality'),
    dict(type='InstanceAP', ann_file=data_root + 'annotations/instances_val.json', max_dets=(1, 10, 400)),
    dict(type='SemanticIoU'),
]
test_evaluator = val_evaluator
