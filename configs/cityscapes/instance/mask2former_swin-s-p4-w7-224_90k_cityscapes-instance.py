# bash tools/dist_train.sh configs/cityscapes/instance/mask2former_swin-s-p4-w7-224_90k_cityscapes-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 41.8, AP50 70.4.
_base_ = [
    '../../_base_/models/mask2former_swin-s.py',
    '../../_base_/datasets/cityscapes_instance.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
