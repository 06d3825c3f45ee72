# bash tools/dist_train.sh configs/coco/instance/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-instance.py 8
# Expected (published for the reference implementation, not yet trained with this one): AP 46.3, Boundary AP 32.9.
_base_ = [
    '../../_base_/models/mask2former_swin-s.py',
    '../../_base_/datasets/coco_instance.py',
    '../../_base_/schedules/adamw_step_50e.py',
    '../../_base_/default_runtime.py',
]
model = dict(postprocessors=dict(panoptic=None, semantic=None))
