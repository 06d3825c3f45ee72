# MaskFormer (arXiv 2107.06278) with a ResNet-101c: a deep stem, and dilations in the last stage, whose stride stays.
_base_ = 'maskformer_r101.py'
model = dict(
    backbone=dict(
        deep_stem=True,
        multi_grid=(1, 2, 4),
        init_cfg=dict(
            type='Pretrained', checkpoint='backbone://https://dl.fbaipublicfiles.com/detectron2/DeepLab/R-103.pkl')))
