# YouTube-VIS 2021, 40 things (docs/datasets.md), trained and tested as YouTube-VIS 2019.
_base_ = 'youtube_vis_2019.py'
dataset_type = 'YouTubeVIS2021'
data_root = 'data/ytvis_2021/'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, ann_file='train/instances.json'))
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, ann_file='valid/instances.json'))
