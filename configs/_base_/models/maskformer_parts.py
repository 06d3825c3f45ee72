# What makes a MaskFormer (arXiv 2107.06278) of a Mask2Former: a feature pyramid, a decoder that attends to all of one
# map and whose queries start at zero, losses at every pixel.
pixel_decoder = dict(_delete_=True, type='FPNPixelDecoder', embed_dims=256, mask_dims=256, memory='top')
# The published panoptic ResNets have a transformer encoder in the pixel decoder.
encoder_pixel_decoder = dict(
    _delete_=True,
    type='TransformerFPNPixelDecoder',
    embed_dims=256,
    mask_dims=256,
    memory='top',
    num_layers=6,
    num_heads=8,
    ffn_dims=2048,
    dropout=0.1)
head = dict(
    num_layers=6,
    masked_attention=False,
    learned_queries=False,
    cross_first=False,
    level_embed=False,
    dropout=0.1)
criterion = dict(
    _delete_=True,
    type='DenseCriterion',
    matcher=dict(type='HungarianMatcher', class_cost=1.0, mask_cost=20.0, dice_cost=1.0),
    focal=True,
    class_weight=1.0,
    mask_weight=20.0,
    dice_weight=1.0,
    no_object_weight=0.1)
postprocessors = dict(panoptic=dict(inside_mask=False))
