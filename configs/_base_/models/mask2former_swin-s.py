# Mask2Former (arXiv 2112.01527) with a Swin-S. The number of classes follows from the data set.
_base_ = 'mask2former_swin-t.py'
checkpoint = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(backbone=dict(depths=(2, 2, 18, 2), init_cfg=dict(checkpoint=checkpoint)))
