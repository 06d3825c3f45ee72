# OVIS, 25 things that hide each other (docs/datasets.md), trained and tested as YouTube-VIS 2019.
_base_ = 'youtube_vis_2019.py'
dataset_type = 'OVIS'
data_root = 'data/ovis/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/annotations_train.json',
        data_prefix=dict(img='train/')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/annotations_valid.json',
        data_prefix=dict(img='valid/')))
