# MaskFormer with a Swin: a lower learning rate, the same for the backbone, after a warm-up.
_base_ = 'adamw_poly_160k.py'
optim_wrapper = dict(optimizer=dict(lr=6e-5, weight_decay=0.01), paramwise_cfg=dict(backbone_lr_mult=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=160000, by_epoch=False),
]
