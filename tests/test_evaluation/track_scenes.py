"""Random videos of rectangles, as YouTube-VIS's files and as predictions."""

import numpy as np
from mmdet.structures import DetDataSample
from pycocotools import mask as mask_utils

SIZE = (400, 480)
CATEGORIES = [dict(id=3, name='cat'), dict(id=7, name='dog'), dict(id=9, name='bird'), dict(id=12, name='unseen')]
META = dict(
    classes=('dog', 'cat', 'unseen', 'bird'),
    isthing=(True,) * 4,
    category_ids=(7, 3, 12, 9),  # the labels are not in the order of the ids
)


def rectangle(box, size=SIZE):
    """The RLE of a box xywh."""
    x, y, w, h = (int(side) for side in box)
    mask = np.zeros(size, np.uint8, order='F')
    mask[max(y, 0) : y + h, max(x, 0) : x + w] = 1
    rle = mask_utils.encode(mask)
    return dict(size=[int(side) for side in rle['size']], counts=rle['counts'].decode())


def area_of(rle):
    return None if rle is None else int(mask_utils.area(rle))


def random_truth(rng, num_videos=8):
    """Annotations whose mean areas lie around 128 x 128 and 256 x 256, with crowds and frames without the object."""
    videos, annotations = [], []
    for video_id in range(1, num_videos + 1):
        length = int(rng.integers(1, 7))
        names = [f'{video_id}/{i}.jpg' for i in range(length)]
        videos.append(dict(id=video_id, height=SIZE[0], width=SIZE[1], length=length, file_names=names))
        for _ in range(rng.integers(0, 6)):
            side = rng.choice([20, 128, 128, 256, 256]) + rng.integers(-3, 4, 2)
            start, way = rng.uniform(0, 250, 2), rng.uniform(-15, 15, 2)
            boxes = [(*(start + i * way).clip(0, 380), *side) for i in range(length)]
            rles = [rectangle(box) if rng.uniform() < 0.8 else None for box in boxes]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    video_id=video_id,
                    category_id=int(rng.choice([3, 7, 9])),
                    iscrowd=int(rng.uniform() < 0.15),
                    segmentations=rles,
                    bboxes=[rle and mask_utils.toBbox(rle).tolist() for rle in rles],
                    areas=[area_of(rle) for rle in rles],
                    boxes=boxes,
                )
            )
    return dict(videos=videos, annotations=annotations, categories=CATEGORIES)


def random_tracks(rng, truth):
    """Tracks near the true ones and elsewhere, as ``dict(video_id, category_id, score, segmentations)``; ties in score,
    nulls, empty masks and changed classes are among them."""
    found = []
    for track in truth['annotations']:
        for _ in range(rng.integers(0, 4)):
            jitter = rng.normal(0, rng.choice([1, 8, 30]), 4)
            rles = []
            for box in track['boxes']:
                moved = np.array(box) + jitter
                rle = rectangle((*moved[:2].clip(0, 390), *moved[2:].clip(1, 300)))
                kind = rng.uniform()
                rles.append(None if kind < 0.15 else rectangle((0, 0, 0, 0)) if kind < 0.25 else rle)
            category = track['category_id'] if rng.uniform() < 0.85 else int(rng.choice([3, 7, 9, 12]))
            score = float(rng.choice([0.25, 0.5, rng.uniform()]))
            found.append(dict(video_id=track['video_id'], category_id=category, score=score, segmentations=rles))
    return found


def sample_of(video_id, tracks):
    """The data sample of a video; ``tracks`` have category ids."""
    label_of = {category: label for label, category in enumerate(META['category_ids'])}
    sample = DetDataSample(metainfo=dict(video_id=video_id))
    sample.pred_tracks = [
        dict(score=t['score'], label=label_of[t['category_id']], segmentations=t['segmentations']) for t in tracks
    ]
    return sample
