# Crops of 640 x 640 (width, height) of images whose shorter side is 0.5 to 2 times 640; tested at 640.
crop_640 = [
    dict(type='RandomChoiceResize', scales=[(2560, int(x * 0.1 * 640)) for x in range(5, 21)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(640, 640)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(640, 640), pad_val=dict(img=(128, 128, 128), seg=0)),
]
# Pillow filters what it makes smaller, as in the reference.
resize_640 = dict(type='Resize', scale=(2560, 640), keep_ratio=True, backend='pillow')
