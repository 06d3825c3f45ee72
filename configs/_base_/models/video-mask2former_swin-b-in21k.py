# Mask2Former of videos (arXiv 2112.10764) with a Swin-B of ImageNet-21k.
_base_ = ['mask2former_swin-b-in21k.py', 'video_parts.py']
model = _base_.video_parts
