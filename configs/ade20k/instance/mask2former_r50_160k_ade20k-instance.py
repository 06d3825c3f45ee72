# bash tools/dist_train.sh configs/ade20k/instance/mask2former_r50_160k_ade20k-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 26.4.
_base_ = [
    '../../_base_/models/mask2former_r50.py',
    '../../_base_/datasets/ade20k_instance.py',
    '../../_base_/schedules/adamw_poly_160k.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
