# Mask2Former of videos (arXiv 2112.10764) with a Swin-L of ImageNet-21k, which has 200 queries for every data set.
_base_ = ['mask2former_swin-l.py', 'video_parts.py']
model = dict(_base_.video_parts, head=dict(_base_.video_parts.head, num_queries=200))
