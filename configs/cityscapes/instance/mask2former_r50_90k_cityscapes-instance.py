# bash tools/dist_train.sh configs/cityscapes/instance/mask2former_r50_90k_cityscapes-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 37.4, AP50 61.9.
_base_ = [
    '../../_base_/models/mask2former_r50_syncbn.py',
    '../../_base_/datasets/cityscapes_instance.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
