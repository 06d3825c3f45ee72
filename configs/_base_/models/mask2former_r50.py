# Mask2Former (arXiv 2112.01527) with a ResNet-50. The number of classes follows from the data set.
model = dict(
    type='Mask2Former',
    data_preprocessor=dict(type='SegDataPreprocessor'),  # mean and std of ImageNet, or what a backbone's weights say
    backbone=dict(
        type='FrozenBNResNet',
        depth=50,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    pixel_decoder=dict(
        type='MSDeformAttnPixelDecoder',
        embed_dims=256,
        mask_dims=256,
        num_levels=3,
        num_layers=6,
        num_heads=8,
        num_points=4,
        ffn_dims=1024),
    head=dict(type='MaskedAttentionHead', num_queries=100, num_layers=9, num_heads=8, ffn_dims=2048),
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
