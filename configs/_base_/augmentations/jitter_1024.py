# Large-scale jitter to 1024 x 1024; tested at a shorter side of 800 and a longer one of 1333 at most.
jitter_1024 = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=(1024, 1024), ratio_range=(0.1, 2.0)),
]
resize_800 = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
