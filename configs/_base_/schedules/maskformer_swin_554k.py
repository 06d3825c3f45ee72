# 300 epochs of COCO at batch 64, for MaskFormer with a Swin.
_base_ = 'maskformer_resnet_554k.py'
optim_wrapper = dict(optimizer=dict(lr=6e-5, weight_decay=0.01), paramwise_cfg=dict(backbone_lr_mult=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='MultiStepLR', begin=0, end=554400, by_epoch=False, milestones=[369600], gamma=0.1),
]
