# bash tools/dist_train.sh configs/youtube_vis/video-mask2former_swin-t-p4-w7-224_8xb2-8k_youtube-vis-2021.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 45.9.
_base_ = [
    '../_base_/models/video-mask2former_swin-t.py',
    '../_base_/datasets/youtube_vis_2021_480.py',
    '../_base_/schedules/adamw_step_8k.py',
    '../_base_/no_validation_runtime.py',
]
load_from = 'swin-t-coco-instance'
