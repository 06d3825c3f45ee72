# Mask2Former with the ConvNeXt-T of DINOv3 (arXiv 2508.10104). Its weights have a licence of their own, which is to be
# accepted on the hub before they can be fetched.
_base_ = 'mask2former_convnext-t.py'
model = dict(
    backbone=dict(
        name='facebook/dinov3-convnext-tiny-pretrain-lvd1689m', config=dict(model_type='dinov3_convnext')))
