# Crops of 1280 x 1280 (width, height) of images whose shorter side is 0.5 to 2 times 2048.
crop_1280 = [
    dict(type='RandomChoiceResize', scales=[(8192, int(x * 0.1 * 2048)) for x in range(5, 21)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(1280, 1280)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(1280, 1280), pad_val=dict(img=(128, 128, 128), seg=0)),
]
