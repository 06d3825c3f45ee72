# Crops of 640 x 640 (width, height) of images whose shorter side is 0.5 to 1.5 times 640.
crop_640_to_960 = [
    dict(type='RandomChoiceResize', scales=[(2560, int(x * 0.1 * 640)) for x in range(5, 16)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(640, 640)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(640, 640), pad_val=dict(img=(128, 128, 128), seg=0)),
]
