# 50 epochs of COCO at batch 16 (paper section 4.1; schedule of the reference implementation).
_base_ = 'adamw_base.py'
max_iters = 368750
interval = 5000
train_cfg = dict(
    type='SegIterTrainLoop',
    max_iters=max_iters,
    val_interval=interval,
    # Validate at the end of training, too, but not shortly before it.
    dynamic_intervals=[(max_iters // interval * interval + 1, max_iters)])
param_scheduler = dict(
    type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=[327778, 355092], gamma=0.1)
