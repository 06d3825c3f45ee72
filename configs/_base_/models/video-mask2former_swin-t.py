# Mask2Former of videos (arXiv 2112.10764) with a Swin-T.
_base_ = ['mask2former_swin-t.py', 'video_parts.py']
model = _base_.video_parts
