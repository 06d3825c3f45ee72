# A short schedule for small data: warm-up, then cosine decay to zero at the last iteration. Leaves set train_cfg.
_base_ = 'adamw_base.py'
train_cfg = dict(type='SegIterTrainLoop', max_iters=1500, val_interval=1500)
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(backbone_lr_mult=0.5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100),
]
auto_scale_lr = dict(base_batch_size=8)
