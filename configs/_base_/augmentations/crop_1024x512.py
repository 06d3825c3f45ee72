# Crops of 1024 x 512 (width, height) of images whose shorter side is 0.5 to 2 times 1024; tested at 1024.
crop_1024x512 = [
    dict(type='RandomChoiceResize', scales=[(4096, int(x * 0.1 * 1024)) for x in range(5, 21)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(1024, 512)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
]
# Pillow filters what it makes smaller, as in the reference.
resize_1024 = dict(type='Resize', scale=(2048, 1024), keep_ratio=True, backend='pillow')
