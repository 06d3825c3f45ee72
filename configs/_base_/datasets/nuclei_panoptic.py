# Nuclei of the 2018 Data Science Bowl (BBBC038): one thing, up to 375 of them in an image, and the background.
_base_ = 'shapes_panoptic.py'
data_root = 'data/dsb2018_nuclei/'

train_pipeline = [
    *_base_.train_load,
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(
        type='LargeScaleJitter',
        crop_size=(320, 320),
        scale=(512, 512),
        ratio_range=(0.75, 1.5),
        pad_val=(127, 127, 127)),
    *_base_.train_pack,
]
# Most images are 256 pixels wide and their nuclei 12: enlarged, a nucleus covers more than one mask pixel.
test_pipeline = [*_base_.test_load, dict(type='Resize', scale=(512, 512), keep_ratio=True), *_base_.test_pack]

train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQuality'),
    dict(type='InstanceAP', ann_file=data_root + 'annotations/instances_val.json', max_dets=(1, 10, 400)),
    dict(type='SemanticIoU'),
]
test_evaluator = val_evaluator
