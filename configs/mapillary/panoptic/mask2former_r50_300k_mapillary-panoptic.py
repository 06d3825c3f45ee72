# bash tools/dist_train.sh configs/mapillary/panoptic/mask2former_r50_300k_mapillary-panoptic.py 8
# Expected (published for the reference implementation, not yet trained with this one): PQ 36.3, mIoU 50.7.
_base_ = [
    '../../_base_/models/mask2former_r50.py',
    '../../_base_/datasets/mapillary_panoptic.py',
    '../../_base_/schedules/adamw_poly_300k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=dict(score_thr=0.0), instance=None))
val_evaluator = [dict(type='PanopticQuality'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
