# What makes MaskFormer's per-pixel baseline (arXiv 2107.06278, section 4.1) of a MaskFormer: a class for each pixel.
per_pixel_parts = dict(
    pixel_decoder=dict(memory='pyramid'),
    head=dict(_delete_=True, type='PerPixelHead'),
    criterion=dict(_delete_=True, type='PerPixelCriterion'),
    postprocessors=dict(panoptic=None, instance=None, semantic=dict(_delete_=True, type='PerPixelInference')))
