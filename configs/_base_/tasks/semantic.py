# Semantic segmentation: the beginning and the end of the pipelines, and what is measured. Augmentations go in between.
_base_ = 'dataloaders.py'
train_load = [dict(type='LoadImage'), dict(type='LoadSemanticSegments')]
train_pack = [dict(type='PackSegInputs')]
test_load = [dict(type='LoadImage')]
test_pack = [dict(type='LoadSemanticGroundTruth'), dict(type='PackSegInputs')]

val_evaluator = [dict(type='SemanticIoU')]
test_evaluator = val_evaluator
