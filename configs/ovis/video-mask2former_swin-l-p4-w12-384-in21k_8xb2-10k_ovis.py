# bash tools/dist_train.sh configs/ovis/video-mask2former_swin-l-p4-w12-384-in21k_8xb2-10k_ovis.py 8
# Expected (reported by DVIS, arXiv 2306.03413; not yet trained with this one): AP 25.8, AP50 46.5, AP75 24.4.
# It does not say how that was trained: the schedule here is MinVIS's (arXiv 2208.02245).
_base_ = [
    '../_base_/models/video-mask2former_swin-l.py',
    '../_base_/datasets/ovis_480.py',
    '../_base_/schedules/adamw_step_10k.py',
    '../_base_/no_validation_runtime.py',
]
load_from = 'swin-l-coco-instance'
