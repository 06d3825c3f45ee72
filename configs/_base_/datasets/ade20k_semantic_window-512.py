# ADE20K at a shorter side of 512 pixels, tested in windows of 512 x 512, as EoMT is.
_base_ = 'ade20k_semantic.py'
train_pipeline = [
    *_base_.train_load,
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=(512, 512), ratio_range=(0.5, 2.0), pad_val=(0, 0, 0)),
    *_base_.train_pack]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
