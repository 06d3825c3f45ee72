# Mask2Former (arXiv 2112.01527) with a ResNet-101. The number of classes follows from the data set.
_base_ = 'mask2former_r50.py'
model = dict(backbone=dict(depth=101, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101')))
