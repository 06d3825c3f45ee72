# EoMT's with DINOv3: twice the learning rate, longer warm-ups, no layer decay in the blocks with queries.
_base_ = 'eomt_dinov2.py'
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(decay_head=False))
param_scheduler = dict(warmup=2000, vit_warmup=3000)
