# Video instance segmentation: the beginning and the end of the pipelines, and what is measured. Transforms of frames go
# in between, in a TransformClip.
_base_ = 'dataloaders.py'
train_load = [
    dict(type='SampleFrames', num_frames=2, frame_range=20),
    dict(type='LoadFrames'),
    dict(type='LoadTrackSegments'),
]
train_pack = [dict(type='PackClipInputs')]
test_load = [dict(type='SampleFrames', num_frames=None), dict(type='LoadFrames')]
test_pack = [dict(type='PackClipInputs')]

val_evaluator = [dict(type='YouTubeVISAP')]
test_evaluator = val_evaluator
