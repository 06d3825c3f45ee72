# Panoptic segmentation: the beginning and the end of the pipelines, and what is measured. Augmentations go in between.
_base_ = 'dataloaders.py'
train_load = [dict(type='LoadImage'), dict(type='LoadPanopticSegments')]
train_pack = [dict(type='PackSegInputs')]
# Segments that a crop left without a pixel stay targets, as in the reference (docs/correctness.md has the figures).
train_pack_all = [dict(type='PackSegInputs', min_area=0)]
test_load = [dict(type='LoadImage')]
test_pack = [dict(type='LoadPanopticGroundTruth'), dict(type='PackSegInputs')]
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=True)))

# Instances are the things of the panoptic annotation, unless a data set names a file of its own for them.
val_evaluator = [dict(type='PanopticQuality'), dict(type='InstanceAP'), dict(type='SemanticIoU')]
test_evaluator = val_evaluator
