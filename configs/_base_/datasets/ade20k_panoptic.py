# ADE20K, 100 things and 50 stuff classes, at 640 pixels (docs/datasets.md). As in the reference, mIoU is measured on
# the official semantic PNG files: the panoptic ones leave out things without an instance, and lay things over stuff.
_base_ = ['../tasks/panoptic.py', '../augmentations/crop_640.py']
dataset_type = 'ADE20KPanoptic'
data_root = 'data/ade/ADEChallengeData2016/'

train_pipeline = [*_base_.train_load, *_base_.crop_640, *_base_.train_pack_all]
test_pipeline = [
    *_base_.test_load, _base_.resize_640,
    dict(type='LoadSemanticGroundTruth', path_key='semantic_path'), *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_panoptic_train.json',
        data_prefix=dict(img='images/training/', seg='ade20k_panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(
            img='images/validation/', seg='ade20k_panoptic_val/', semantic='annotations/validation/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
