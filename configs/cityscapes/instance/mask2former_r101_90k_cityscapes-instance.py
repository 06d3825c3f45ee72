# bash tools/dist_train.sh configs/cityscapes/instance/mask2former_r101_90k_cityscapes-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 38.5, AP50 63.9.
_base_ = [
    '../../_base_/models/mask2former_r101_syncbn.py',
    '../../_base_/datasets/cityscapes_instance.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
