# Polynomial decay at batch 16, as the reference implementation trains on all data but COCO.
_base_ = 'adamw_base.py'
train_cfg = dict(type='SegIterTrainLoop', max_iters=90000, val_interval=5000)
param_scheduler = dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=90000, by_epoch=False)
