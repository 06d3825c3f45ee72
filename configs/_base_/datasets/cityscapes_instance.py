# Cityscapes, the 8 things: the segments of the panoptic files, their stuff left out as void.
_base_ = 'cityscapes_panoptic.py'
metainfo = dict(classes=('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'))
train_dataloader = dict(dataset=dict(metainfo=metainfo))
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader

val_evaluator = [dict(type='InstanceAP'), dict(type='CityscapesInstanceAP')]
test_evaluator = val_evaluator
