# Frames of a clip at a shorter side of 360 or 480 and a longer one of 1333 at most, all alike, flipped or not. Tests
# have one of these sizes.
clip_360_480 = dict(
    type='TransformClip',
    transforms=[
        dict(type='RandomChoiceResize', scales=[(1333, 360), (1333, 480)], keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
    ])
# Pillow filters what it makes smaller, as in the reference.
clip_360, clip_480 = (
    dict(
        type='TransformClip', transforms=[dict(type='Resize', scale=(1333, x), keep_ratio=True, backend='pillow')])
    for x in (360, 480))
