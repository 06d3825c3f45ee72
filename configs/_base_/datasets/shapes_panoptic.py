# A generated data set (tools/dataset_converters/make_shapes.py data/shapes): no download.
_base_ = '../tasks/panoptic.py'
dataset_type = 'CocoPanopticFormat'
data_root = 'data/shapes/'

train_pipeline = [*_base_.train_load, dict(type='RandomFlip', prob=0.5), *_base_.train_pack]
test_pipeline = [*_base_.test_load, *_base_.test_pack]

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
