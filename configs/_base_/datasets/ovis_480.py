# OVIS, 25 things that hide each other, tested at a shorter side of 480.
_base_ = 'ovis.py'
test_pipeline = [*_base_.test_load, _base_.clip_480, *_base_.test_pack]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
