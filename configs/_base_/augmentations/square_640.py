# Large-scale jitter to 640 x 640, and tested in a square of that side, as EoMT is.
square_640 = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=(640, 640), ratio_range=(0.1, 2.0), pad_val=(0, 0, 0)),
]
# Pillow filters what it makes smaller, as in the reference.
fit_640 = dict(type='Resize', scale=(640, 640), keep_ratio=True, backend='pillow')
