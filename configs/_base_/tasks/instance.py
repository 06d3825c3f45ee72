# Instance segmentation: the beginning and the end of the pipelines, and what is measured: by the annotation file of the
# data set. Augmentations go in between.
_base_ = 'dataloaders.py'
train_load = [dict(type='LoadImage'), dict(type='LoadInstanceSegments')]
train_pack = [dict(type='PackSegInputs')]
# Segments that a crop left without a pixel stay targets, as in the reference's other data sets than COCO.
train_pack_all = [dict(type='PackSegInputs', min_area=0)]
test_load = [dict(type='LoadImage')]
test_pack = [dict(type='LoadInstanceGroundTruth'), dict(type='PackSegInputs')]
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=True)))

val_evaluator = [dict(type='InstanceAP')]
test_evaluator = val_evaluator
