# 300 epochs of COCO at batch 64, for MaskFormer with a ResNet.
_base_ = 'adamw_step_50e.py'
max_iters = 554400
interval = 5000
train_cfg = dict(max_iters=max_iters, dynamic_intervals=[(max_iters // interval * interval + 1, max_iters)])
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = dict(end=max_iters, milestones=[369600])
auto_scale_lr = dict(base_batch_size=64)
