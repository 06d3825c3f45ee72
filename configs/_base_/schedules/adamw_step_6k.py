# 6,000 iterations at batch 16, as the reference trains on YouTube-VIS 2019.
_base_ = 'adamw_base.py'
train_cfg = dict(type='SegIterTrainLoop', max_iters=6000, val_interval=6000)
param_scheduler = dict(type='MultiStepLR', begin=0, end=6000, by_epoch=False, milestones=[4000], gamma=0.1)
