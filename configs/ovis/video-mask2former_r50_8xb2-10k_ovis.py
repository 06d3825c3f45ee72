# bash tools/dist_train.sh configs/ovis/video-mask2former_r50_8xb2-10k_ovis.py 8
# Expected (reported by DVIS, arXiv 2306.03413; not yet trained with this one): AP 17.3, AP50 37.3, AP75 15.1.
# It does not say how that was trained: the schedule here is MinVIS's (arXiv 2208.02245).
_base_ = [
    '../_base_/models/video-mask2former_r50.py',
    '../_base_/datasets/ovis.py',
    '../_base_/schedules/adamw_step_10k.py',
    '../_base_/no_validation_runtime.py',
]
load_from = 'r50-coco-instance'
