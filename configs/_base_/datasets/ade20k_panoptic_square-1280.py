# ADE20K in squares of 1280 pixels, as EoMT takes images.
_base_ = ['ade20k_panoptic.py', '../augmentations/square_1280.py']
train_pipeline = [*_base_.train_load, dict(type='SSDColorAugmentation'), *_base_.square_1280, *_base_.train_pack]
test_pipeline = [
    *_base_.test_load, _base_.fit_1280,
    dict(type='LoadSemanticGroundTruth', path_key='semantic_path'), *_base_.test_pack]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
