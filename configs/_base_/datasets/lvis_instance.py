# LVIS v1, 1203 things, on COCO's images (docs/datasets.md). The reference has the data set, but no config for it.
_base_ = 'coco_instance.py'
dataset_type = 'LVISInstance'
data_root = 'data/coco/'
train_dataloader = dict(
    dataset=dict(type=dataset_type, ann_file='lvis/lvis_v1_train.json', data_prefix=dict(_delete_=True, img='')))
val_dataloader = dict(
    dataset=dict(type=dataset_type, ann_file='lvis/lvis_v1_val.json', data_prefix=dict(_delete_=True, img='')))
test_dataloader = val_dataloader

val_evaluator = [dict(type='InstanceAP', lvis=True)]
test_evaluator = val_evaluator
