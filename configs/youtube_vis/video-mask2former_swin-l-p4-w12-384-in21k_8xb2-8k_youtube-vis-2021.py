# bash tools/dist_train.sh configs/youtube_vis/video-mask2former_swin-l-p4-w12-384-in21k_8xb2-8k_youtube-vis-2021.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 52.6.
_base_ = [
    '../_base_/models/video-mask2former_swin-l.py',
    '../_base_/datasets/youtube_vis_2021.py',
    '../_base_/schedules/adamw_step_8k.py',
    '../_base_/no_validation_runtime.py',
]
load_from = 'swin-l-coco-instance'
