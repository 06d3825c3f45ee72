# 10,000 iterations at batch 16, as MinVIS (arXiv 2208.02245) trains on OVIS.
_base_ = 'adamw_step_6k.py'
train_cfg = dict(max_iters=10000, val_interval=10000)
param_scheduler = dict(end=10000, milestones=[7000])
