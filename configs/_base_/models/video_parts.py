# What makes a model of videos (arXiv 2112.10764) of a Mask2Former of images.
video_parts = dict(
    type='VideoMask2Former',
    data_preprocessor=dict(type='ClipDataPreprocessor'),
    head=dict(type='ClipHead'),
    criterion=dict(type='ClipCriterion', matcher=dict(type='ClipMatcher')),
    postprocessors=dict(_delete_=True, tracks=dict(type='TrackTopK', max_per_video=10)))
