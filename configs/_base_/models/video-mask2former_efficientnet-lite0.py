# A small Mask2Former of videos for CPUs and small data.
_base_ = ['mask2former_efficientnet-lite0.py', 'video_parts.py']
model = _base_.video_parts
