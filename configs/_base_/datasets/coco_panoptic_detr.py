# COCO, 133 classes, with DETR's augmentation, as MaskFormer was trained.
_base_ = ['coco_panoptic.py', '../augmentations/detr_800.py']
train_dataloader = dict(dataset=dict(pipeline=[*_base_.train_load, *_base_.detr_1333, *_base_.train_pack_all]))
val_evaluator = [dict(type='PanopticQuality'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
