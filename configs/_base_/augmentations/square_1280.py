# Large-scale jitter to 1280 x 1280, and tested in a square of that side, as EoMT is.
square_1280 = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='LargeScaleJitter', crop_size=(1280, 1280), ratio_range=(0.1, 2.0), pad_val=(0, 0, 0)),
]
# Pillow filters what it makes smaller, as in the reference.
fit_1280 = dict(type='Resize', scale=(1280, 1280), keep_ratio=True, backend='pillow')
