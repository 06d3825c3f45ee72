# YouTube-VIS 2019, 40 things, tested at a shorter side of 480.
_base_ = 'youtube_vis_2019.py'
test_pipeline = [*_base_.test_load, _base_.clip_480, *_base_.test_pack]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
