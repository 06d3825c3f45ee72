# bash tools/dist_train.sh configs/youtube_vis/video-mask2former_swin-l-p4-w12-384-in21k_8xb2-6k_youtube-vis-2019.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 60.4.
_base_ = [
    '../_base_/models/video-mask2former_swin-l.py',
    '../_base_/datasets/youtube_vis_2019_480.py',
    '../_base_/schedules/adamw_step_6k.py',
    '../_base_/no_validation_runtime.py',
]
load_from = 'swin-l-coco-instance'
