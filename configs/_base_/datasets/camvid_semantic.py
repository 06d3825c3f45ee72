# CamVid (Brostow et al. 2008), 11 classes: 367 images for training, 101 for validation, 233 for testing
# (docs/datasets.md).
_base_ = '../tasks/semantic.py'
dataset_type = 'SemanticPngFormat'
data_root = 'data/camvid/'
label_map = {
    0: 'sky', 1: 'building', 2: 'pole', 3: 'road', 4: 'pavement', 5: 'tree', 6: 'signsymbol', 7: 'fence', 8: 'car',
    9: 'pedestrian', 10: 'bicyclist'
}
crop_size = (480, 352)  # width, height

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadSemanticSegments'),
    dict(type='LargeScaleJitter', crop_size=crop_size, scale=(480, 360), ratio_range=(0.75, 2.0)),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadSemanticGroundTruth'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='train/', seg='semantic_train/'),
        label_map=label_map,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='val/', seg='semantic_val/'),
        label_map=label_map,
        pipeline=test_pipeline))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img='test/', seg='semantic_test/'),
        label_map=label_map,
        pipeline=test_pipeline))
