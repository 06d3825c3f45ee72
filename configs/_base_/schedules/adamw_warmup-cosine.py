# A short schedule for small data: warm-up, then cosine decay to zero at the last iteration. Leaves set train_cfg.
train_cfg = dict(type='SegIterTrainLoop', max_iters=1500, val_interval=1500)
optim_wrapper = dict(
    type='SegOptimWrapper',
    constructor='SegOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999), fused=True),
    paramwise_cfg=dict(backbone_lr_mult=0.5),
    clip_grad=dict(max_norm=0.01, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
