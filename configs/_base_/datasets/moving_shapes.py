# Drawn videos of moving shapes (tools/dataset_converters/make_moving_shapes.py data/moving_shapes). Upright videos make
# batches of their own.
_base_ = '../tasks/video_instance.py'
dataset_type = 'YouTubeVISFormat'
data_root = 'data/moving_shapes/'

augment = dict(type='TransformClip', transforms=[dict(type='RandomFlip', prob=0.5)])
train_pipeline = [*_base_.train_load, augment, *_base_.train_pack]
test_pipeline = [*_base_.test_load, *_base_.test_pack]

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='train/JPEGImages/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='val/JPEGImages/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
