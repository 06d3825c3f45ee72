# Mask2Former (arXiv 2112.01527) with a Swin-L of ImageNet-21k. The number of classes follows from the data set.
_base_ = 'mask2former_swin-b.py'
checkpoint = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth'
model = dict(backbone=dict(embed_dims=192, num_heads=(6, 12, 24, 48), init_cfg=dict(checkpoint=checkpoint)))
