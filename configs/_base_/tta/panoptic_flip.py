# Test-time augmentation for a panoptic data set at COCO's test size: the image and its mirror image.
# The first view's queries are kept, so it is the plain one.
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(1333, 800), keep_ratio=True)],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='PackSegInputs')],
        ]),
]
