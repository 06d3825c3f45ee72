# Test-time augmentation for semantic results: 0.5 to 1.75 times ADE20K's test size, and the mirror images.
# As the reference implementation, whose views have a shorter side of 256, 384 ... 896, and at most 3584 pixels a side.
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadSemanticGroundTruth'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(3584, size), keep_ratio=True, backend='pillow')
                for size in (512, 256, 384, 640, 768, 896)
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='PackSegInputs')],
        ]),
]
