_base_ = 'adamw_poly_90k.py'
train_cfg = dict(max_iters=160000)
param_scheduler = dict(end=160000)
