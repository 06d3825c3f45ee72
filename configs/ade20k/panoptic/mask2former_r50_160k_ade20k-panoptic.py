# bash tools/dist_train.sh configs/ade20k/panoptic/mask2former_r50_160k_ade20k-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 39.7, AP 26.5, mIoU 46.1.
# That PQ counts stuff under things, too: ours is as high or higher for the same results (docs/correctness.md).
_base_ = [
    '../../_base_/models/mask2former_r50.py',
    '../../_base_/datasets/ade20k_panoptic.py',
    '../../_base_/schedules/adamw_poly_160k.py',
    '../../_base_/default_runtime.py',
]
