# Mask2Former (arXiv 2112.01527) with a Swin-T. The number of classes follows from the data set.
_base_ = 'mask2former_r50.py'
checkpoint = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        drop_path_rate=0.3,
        convert_weights=True,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint)))
