# Crops of 1024 x 1024 (width, height) of images whose shorter side is 0.5 to 2 times 2048; tested within 2048 x 2048.
crop_1024 = [
    dict(type='RandomChoiceResize', scales=[(8192, int(x * 0.1 * 2048)) for x in range(5, 21)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(1024, 1024)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(1024, 1024), pad_val=dict(img=(128, 128, 128), seg=0)),
]
# Pillow filters what it makes smaller, as in the reference.
resize_2048 = dict(type='Resize', scale=(2048, 2048), keep_ratio=True, backend='pillow')
