# Mask2Former (arXiv 2112.01527) with a Swin-B. The number of classes follows from the data set.
_base_ = 'mask2former_swin-t.py'
checkpoint = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384.pth'
model = dict(
    backbone=dict(
        pretrain_img_size=384,
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=12,
        init_cfg=dict(checkpoint=checkpoint)))
