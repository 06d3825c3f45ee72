# DETR's augmentation of COCO: a shorter side of 480 to 800, half of the time after a crop of 384 to 600 pixels a side.
sides = [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800]
detr_1333, detr_1000 = (
    [
        dict(type='RandomFlip', prob=0.5),
        dict(
            type='RandomChoice',
            transforms=[
                [dict(type='RandomChoiceResize', scales=[(longest, x) for x in sides], keep_ratio=True)],
                [
                    dict(type='RandomChoiceResize', scales=[(longest, x) for x in (400, 500, 600)], keep_ratio=True),
                    dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600)),
                    dict(type='RandomChoiceResize', scales=[(longest, x) for x in sides], keep_ratio=True),
                ],
            ]),
    ]
    for longest in (1333, 1000))
