_base_ = 'adamw_poly_90k.py'
train_cfg = dict(max_iters=300000, val_interval=50000)
param_scheduler = dict(end=300000)
