# Cityscapes, 8 things and 11 stuff classes (docs/datasets.md).
_base_ = ['../tasks/panoptic.py', '../augmentations/crop_1024x512.py']
dataset_type = 'CityscapesPanoptic'
data_root = 'data/cityscapes/'

train_pipeline = [*_base_.train_load, *_base_.crop_1024x512, *_base_.train_pack_all]
test_pipeline = [*_base_.test_load, _base_.resize_1024, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

# CityscapesInstanceAP reads gtFine/val/*/*_gtFine_instanceIds.png.
val_evaluator = [
    dict(type='PanopticQuality'), dict(type='InstanceAP'), dict(type='CityscapesInstanceAP'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
