# bash tools/dist_train.sh configs/cityscapes/instance/mask2former_swin-b-p4-w12-384-in21k_90k_cityscapes-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 42.0, AP50 68.8.
_base_ = [
    '../../_base_/models/mask2former_swin-b-in21k.py',
    '../../_base_/datasets/cityscapes_instance.py',
    '../../_base_/schedules/adamw_poly_90k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
