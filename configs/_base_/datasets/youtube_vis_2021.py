# YouTube-VIS 2021, 40 things (docs/datasets.md). Nobody but the test server has the annotations of
# the validation split: a test writes a file for it (docs/video.md), and a training validates nothing.
_base_ = ['../tasks/video_instance_server.py', '../augmentations/clip_360_480.py']
dataset_type = 'YouTubeVIS2021'
data_root = 'data/ytvis_2021/'

train_pipeline = [*_base_.train_load, _base_.clip_360_480, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.clip_360, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train/instances.json',
        data_prefix=dict(img='train/JPEGImages/'),
        pipeline=train_pipeline))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='valid/instances.json',
        data_prefix=dict(img='valid/JPEGImages/'),
        pipeline=test_pipeline))
