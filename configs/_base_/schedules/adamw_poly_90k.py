# Polynomial decay at batch 16, as the reference implementation trains on all data but COCO.
_base_ = 'adamw_lsj_50e.py'
train_cfg = dict(_delete_=True, type='SegIterTrainLoop', max_iters=90000, val_interval=5000)
param_scheduler = dict(_delete_=True, type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=90000, by_epoch=False)
