# Mask2Former of videos (arXiv 2112.10764) with a Swin-L of ImageNet-21k.
_base_ = ['mask2former_swin-l.py', 'video_parts.py']
model = _base_.video_parts
