# Cityscapes, 19 classes (docs/datasets.md).
_base_ = ['../tasks/semantic.py', '../augmentations/crop_1024x512.py']
dataset_type = 'CityscapesSemantic'
data_root = 'data/cityscapes/'
common = dict(
    type=dataset_type,
    data_root=data_root,
    img_suffix='_leftImg8bit.png',
    seg_map_suffix='_gtFine_labelIds.png',
    # Values of labelIds that are not evaluated (cityscapesscripts/helpers/labels.py).
    ignore_index=(0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30))

train_pipeline = [*_base_.train_load, *_base_.crop_1024x512, *_base_.train_pack]
test_pipeline = [*_base_.test_load, _base_.resize_1024, *_base_.test_pack]

train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/train/'),
        pipeline=train_pipeline,
        **common))
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/val/'),
        pipeline=test_pipeline,
        **common))
test_dataloader = val_dataloader
