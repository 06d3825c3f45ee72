# MaskFormer's per-pixel baseline with a ResNet-50.
_base_ = ['maskformer_r50.py', 'per_pixel_parts.py']
model = _base_.per_pixel_parts
