# MaskFormer's per-pixel baseline for CPUs and small data: a class for each pixel, from the small MaskFormer's FPN.
_base_ = 'maskformer_efficientnet-lite0.py'
model = dict(
    pixel_decoder=dict(memory='pyramid'),
    head=dict(_delete_=True, type='PerPixelHead'),
    criterion=dict(_delete_=True, type='PerPixelCriterion'),
    postprocessors=dict(panoptic=None, instance=None, semantic=dict(_delete_=True, type='PerPixelInference')))
