# MaskFormer's per-pixel baseline for CPUs and small data, from the small MaskFormer's FPN.
_base_ = ['maskformer_efficientnet-lite0.py', 'per_pixel_parts.py']
model = _base_.per_pixel_parts
