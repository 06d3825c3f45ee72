# Mapillary Vistas v1.2, 65 classes, in crops of 1280 pixels, as MaskFormer was trained.
_base_ = ['mapillary_semantic.py', '../augmentations/crop_1280.py']
train_dataloader = dict(dataset=dict(pipeline=[*_base_.train_load, *_base_.crop_1280, *_base_.train_pack]))
