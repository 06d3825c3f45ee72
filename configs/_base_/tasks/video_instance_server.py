# Video instance segmentation whose test data has no annotations at hand: nothing is measured.
_base_ = 'video_instance.py'
val_dataloader = None
val_evaluator = None
test_evaluator = []
