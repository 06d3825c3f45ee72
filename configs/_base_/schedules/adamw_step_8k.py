# 8,000 iterations at batch 16, as the reference trains on YouTube-VIS 2021.
_base_ = 'adamw_step_6k.py'
train_cfg = dict(max_iters=8000, val_interval=8000)
param_scheduler = dict(end=8000, milestones=[5500])
