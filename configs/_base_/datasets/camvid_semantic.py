# CamVid (Brostow et al. 2008), 11 classes: 367 images for training, 101 for validation, 233 for testing
# (docs/datasets.md).
_base_ = '../tasks/semantic.py'
dataset_type = 'SemanticPngFormat'
data_root = 'data/camvid/'
common = dict(
    type=dataset_type,
    data_root=data_root,
    label_map={
        0: 'sky', 1: 'building', 2: 'pole', 3: 'road', 4: 'pavement', 5: 'tree', 6: 'signsymbol', 7: 'fence', 8: 'car',
        9: 'pedestrian', 10: 'bicyclist'
    })

train_pipeline = [
    *_base_.train_load,
    dict(type='LargeScaleJitter', crop_size=(384, 288), scale=(480, 360), ratio_range=(0.6, 1.8)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    *_base_.train_pack,
]
test_pipeline = [*_base_.test_load, *_base_.test_pack]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_prefix=dict(img='train/', seg='semantic_train/'),
        pipeline=train_pipeline,
        **common))
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img='val/', seg='semantic_val/'),
        pipeline=test_pipeline,
        **common))
test_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img='test/', seg='semantic_test/'),
        pipeline=test_pipeline,
        **common))
