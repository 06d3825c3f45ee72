# EoMT (arXiv 2503.19108): what it has in any size. The number of classes follows from the data set.
model = dict(
    type='Mask2Former',
    data_preprocessor=dict(
        type='SegDataPreprocessor', mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), bgr_to_rgb=True),
    backbone=dict(type='PlainViT', patch_size=16, num_registers=4),
    pixel_decoder=dict(type='PatchTokens'),
    head=dict(type='EncoderOnlyHead', num_queries=200, num_upscales=2),
    criterion=dict(
        type='PointSampledCriterion',
        matcher=dict(type='HungarianMatcher', class_cost=2.0, mask_cost=5.0, dice_cost=5.0),
        num_points=12544,
        oversample_ratio=3.0,
        importance_ratio=0.75,
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        no_object_weight=0.1),
    postprocessors=dict(
        panoptic=dict(type='PanopticFusion', score_thr=0.8, overlap_thr=0.8),
        instance=dict(type='InstanceTopK', max_per_image=100),
        semantic=dict(type='SemanticInference')))
