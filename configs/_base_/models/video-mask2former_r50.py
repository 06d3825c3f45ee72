# Mask2Former of videos (arXiv 2112.10764) with a ResNet-50.
_base_ = ['mask2former_r50.py', 'video_parts.py']
model = _base_.video_parts
