# Mask2Former with a ResNet-50 whose batch normalisation is trained, over all GPUs, as the reference does on some data.
_base_ = 'mask2former_r50.py'
model = dict(backbone=dict(type='ResNet', norm_eval=False))
sync_bn = 'torch'
