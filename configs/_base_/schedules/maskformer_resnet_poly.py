# MaskFormer with a ResNet: weight decay 1e-4. Leaves set train_cfg and the end of the schedule.
_base_ = 'adamw_poly_160k.py'
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
