# EoMT's AdamW at batch 16 with DINOv2: layer decay, weight decay on everything, the new weights first. Leaves set ends.
_base_ = 'adamw_base.py'
train_cfg = dict(type='SegIterTrainLoop', max_iters=88692, val_interval=14782)
optim_wrapper = dict(
    constructor='EncoderOnlyOptimWrapperConstructor', paramwise_cfg=dict(_delete_=True, layer_decay=0.8))
param_scheduler = dict(type='TwoStageWarmupPolyLR', warmup=500, vit_warmup=1000, end=88692, power=0.9, by_epoch=False)
