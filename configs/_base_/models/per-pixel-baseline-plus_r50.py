# MaskFormer's "per-pixel baseline+" (arXiv 2107.06278, section 4.1) with a ResNet-50: a query for each class.
_base_ = 'maskformer_r50.py'
model = dict(
    head=dict(num_queries=None),
    criterion=dict(_delete_=True, type='PerPixelCriterion'),
    postprocessors=dict(panoptic=None, instance=None, semantic=dict(_delete_=True, type='PerPixelInference')))
