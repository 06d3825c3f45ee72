# MaskFormer (arXiv 2107.06278) with a Swin-L of ImageNet-21k. The number of classes follows from the data set.
_base_ = ['mask2former_swin-l.py', 'maskformer_parts.py']
model = dict(
    pixel_decoder=_base_.pixel_decoder,
    head=_base_.head,
    criterion=_base_.criterion,
    postprocessors=_base_.postprocessors)
