# 50 epochs of COCO at batch 16 (paper section 4.1; schedule of the reference implementation).
max_iters = 368750
interval = 5000
train_cfg = dict(
    type='SegIterTrainLoop',
    max_iters=max_iters,
    val_interval=interval,
    # Validate at the end of training, too, but not shortly before it.
    dynamic_intervals=[(max_iters // interval * interval + 1, max_iters)])
optim_wrapper = dict(
    type='SegOptimWrapper',
    constructor='SegOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999), fused=True),
    paramwise_cfg=dict(backbone_lr_mult=0.1),
    clip_grad=dict(max_norm=0.01, norm_type=2))
param_scheduler = dict(
    type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=[327778, 355092], gamma=0.1)
auto_scale_lr = dict(enable=False, base_batch_size=16)
