# Mask2Former of videos (arXiv 2112.10764) with a ResNet-101.
_base_ = ['mask2former_r101.py', 'video_parts.py']
model = _base_.video_parts
