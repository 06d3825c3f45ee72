# Crops of 512 x 512 (width, height) of images whose shorter side is 0.5 to 2 times 512; tested at 512.
crop_512 = [
    dict(type='RandomChoiceResize', scales=[(2048, int(x * 0.1 * 512)) for x in range(5, 21)], keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 512)),
    dict(type='SSDColorAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(512, 512), pad_val=dict(img=(128, 128, 128), seg=0)),
]
# Pillow filters what it makes smaller, as in the reference.
resize_512 = dict(type='Resize', scale=(2048, 512), keep_ratio=True, backend='pillow')
