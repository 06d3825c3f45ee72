# 100 epochs of COCO at batch 16, for Swin-L (schedule of the reference implementation).
_base_ = 'adamw_step_50e.py'
max_iters = 737500
interval = 5000
train_cfg = dict(max_iters=max_iters, dynamic_intervals=[(max_iters // interval * interval + 1, max_iters)])
param_scheduler = dict(end=max_iters, milestones=[655556, 710184])
