# bash tools/dist_train.sh configs/coco/instance/mask2former_swin-b-p4-w12-384_8xb2-lsj-50e_coco-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 46.7, Boundary AP 33.2.
_base_ = [
    '../../_base_/models/mask2former_swin-b.py',
    '../../_base_/datasets/coco_instance.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
