"""Polygons that are rasterised after the jitter: as pycocotools rasterises what was scaled, flipped and cut."""

import cv2
import numpy as np
import pytest
import shapely
from pycocotools import mask as coco_mask

from mask2former.datasets.transforms import LoadInstanceSegments, PackSegInputs, RasterizeInstances
from mask2former.errors import ConfigError, DataError
from mask2former.registry import TRANSFORMS

from .test_large_scale_jitter import CROP, SCALE, drawn

SIZE = (80, 110)
JITTER = dict(type='LargeScaleJitter', crop_size=CROP, scale=SCALE, ratio_range=(0.1, 2.0))


def star(rng: np.random.Generator, corners: int = 9) -> list[float]:
    """A polygon whose corners go once round its middle; a few may lie outside the image."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(5, 40, corners)
    middle = rng.uniform(0, 1, 2) * (SIZE[1], SIZE[0])
    return (middle + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).ravel().tolist()


def make_item(segmentations: list) -> dict:
    image = np.zeros((*SIZE, 3), np.uint8)
    return dict(
        img=image,
        img_path='some.jpg',
        instances=[dict(segmentation=s, label=i, iscrowd=0) for i, s in enumerate(segmentations)],
    )


def pycocotools_mask(polygons: list, height: int, width: int) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)


def mask_of(results: dict, number: int) -> np.ndarray:
    seg_map = results['gt_seg_map']
    return (seg_map.reshape(*seg_map.shape[:2], -1) == number).any(-1)


@pytest.mark.parametrize('flip', [False, True])
def test_equals_pycocotools_on_scaled_and_cut_polygons(flip):
    transform = TRANSFORMS.build(
        dict(type='RasterizeInstances', transforms=[dict(type='RandomFlip', prob=float(flip)), JITTER])
    )
    compared = cut = different = area = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        segmentations = [[star(rng) for _ in range(parts)] for parts in (1, 2, 1, 1)]
        h, w, y, x = drawn(seed, *SIZE, flips=1)
        np.random.seed(seed)
        results = transform.transform(make_item(segmentations))
        assert results['gt_seg_labels'].tolist() == [0, 1, 2, 3] and results['img'].shape[:2] == CROP[::-1]
        for number, polygons in enumerate(segmentations, start=1):
            moved = [np.array(polygon).reshape(-1, 2) for polygon in polygons]
            if flip:
                moved = [(SIZE[1], 0) + (-1, 1) * part for part in moved]
            moved = [part * (w / SIZE[1], h / SIZE[0]) for part in moved]
            # The whole image is rasterised and cut, with 300 pixels more on the left and above: no corner is negative.
            whole = pycocotools_mask([(part + 300).ravel().tolist() for part in moved], 300 + h, 300 + w)[300:, 300:]
            part = whole[y : y + CROP[1], x : x + CROP[0]]
            expected = np.zeros(CROP[::-1], bool)
            expected[: part.shape[0], : part.shape[1]] = part
            mask = mask_of(results, number)
            inside = np.zeros_like(mask)
            inside[: part.shape[0], : part.shape[1]] = True
            assert np.array_equal(mask & inside, expected)
            # As the reference cuts: contours differ by the rounding of the new corners at the cut.
            box = shapely.box(0, 0, *CROP)
            pieces = [shapely.Polygon(part - (x, y)).buffer(0).intersection(box) for part in moved]
            pieces = [q for piece in pieces for q in getattr(piece, 'geoms', [piece]) if q.geom_type == 'Polygon']
            rings = [np.array(q.exterior.coords[:-1]).ravel().tolist() for q in pieces if not q.is_empty]
            reference = pycocotools_mask(rings, *CROP[::-1]) if rings else np.zeros_like(mask)
            different += (mask ^ reference).sum()
            area += reference.sum()
            compared += mask.any()
            cut += whole.sum() > part.sum()
    assert compared > 100 and cut > 20 and different < 0.003 * area


def test_an_enlarged_contour_has_no_steps():
    """A slanted edge, five times as large: rasterised first it would be off by up to half a source pixel."""
    triangle = [10.0, 10.0, 60.0, 10.0, 60.0, 35.0]
    steps = [dict(type='Resize', scale_factor=5.0)]
    smooth = mask_of(RasterizeInstances(steps).transform(make_item([[triangle]])), 1)
    item = LoadInstanceSegments().transform(make_item([[triangle]]))
    stepped = mask_of(TRANSFORMS.build(steps[0]).transform(item), 1)
    exact = pycocotools_mask([(5 * np.array(triangle)).tolist()], 5 * SIZE[0], 5 * SIZE[1])
    assert np.array_equal(smooth, exact) and (stepped ^ exact).sum() > 100


@pytest.mark.parametrize(
    'steps',
    [
        [
            dict(type='RandomChoiceResize', scales=[(200, 60), (300, 150)], keep_ratio=True),
            dict(type='RandomCrop', crop_size=(90, 70)),
            dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical', 'diagonal']),
            dict(type='Pad', size=(90, 70), pad_val=dict(img=(0, 0, 0), seg=0)),
        ],
        [JITTER, dict(type='RandomFlip', prob=0.5)],
        [dict(type='RandomFlip', prob=0.5), dict(type='RandomResize', scale=(90, 90), ratio_range=(0.5, 2))],
    ],
)
def test_polygons_move_with_the_image(steps):
    """A polygon that is painted white stays on the white pixels, through every transform in any order."""
    polygon = [20, 12, 70, 12, 70, 40, 45, 60, 20, 40]
    item = make_item([[polygon]])
    cv2.fillPoly(item['img'], [np.array(polygon).reshape(-1, 2)], (255, 255, 255))
    transform = RasterizeInstances(steps)
    for seed in range(12):
        np.random.seed(seed)
        results = transform.transform(dict(item, img=item['img'].copy()))
        white = results['img'][..., 0] > 127
        mask = mask_of(results, 1)
        assert (mask ^ white).sum() <= 2 * sum(white.shape) and mask.shape == white.shape


def test_run_length_encodings_are_bitmaps_that_move_with_the_image():
    rng = np.random.default_rng(0)
    polygons = [[star(rng)] for _ in range(4)]
    rles = [coco_mask.merge(coco_mask.frPyObjects(p, *SIZE)) for p in polygons]
    empty = dict(size=list(SIZE), counts=[SIZE[0] * SIZE[1]])
    steps = [dict(type='RandomFlip', prob=0.5), JITTER]
    both = RasterizeInstances(steps)
    for seed in range(10):
        np.random.seed(seed)
        mixed = both.transform(make_item([rles[0], polygons[1], empty, rles[2], rles[3]]))
        np.random.seed(seed)
        item = LoadInstanceSegments().transform(make_item(rles))
        for step in steps:
            item = TRANSFORMS.build(step).transform(item)
        assert mixed['gt_seg_labels'].tolist() == [0, 1, 3, 4]
        for number, other in ((1, 1), (3, 3), (4, 4)):
            assert np.array_equal(mask_of(mixed, number), mask_of(item, other))
        assert len(mixed['instances']) == 5


def test_what_is_left_out():
    square, elsewhere = [[2, 2, 30, 2, 30, 30, 2, 30]], [[100, 70, 109, 70, 109, 79, 100, 79]]
    item = make_item([square, elsewhere])
    item['instances'].append(dict(segmentation=square, label=7, iscrowd=1))
    np.random.seed(3)
    results = RasterizeInstances([dict(type='RandomCrop', crop_size=(40, 40), allow_negative_crop=True)]).transform(
        item
    )
    visible = [label for label in (0, 1) if mask_of(results, label + 1).any()]
    assert results['gt_seg_labels'].tolist() == [0, 1] and len(visible) < 2, 'crowd is left out, the rest not yet'
    assert PackSegInputs().transform(results)['data_samples'].gt_segments.labels.tolist() == visible
    every = PackSegInputs(min_area=0).transform(results)['data_samples'].gt_segments
    assert every.labels.tolist() == [0, 1]
    none = RasterizeInstances([JITTER]).transform(make_item([]))
    assert none['gt_seg_map'].shape == CROP[::-1] and none['gt_seg_labels'].shape == (0,)


@pytest.mark.parametrize('step', [dict(type='mmcv.RandomFlip', prob=0.5), dict(type='CenterCrop', crop_size=9)])
def test_transforms_that_cannot_move_polygons_are_refused(step):
    with pytest.raises(ConfigError, match=r'cannot move polygons as mmcv.*\.(RandomFlip|CenterCrop) moves the image'):
        RasterizeInstances([JITTER, step])


def test_errors_name_the_image():
    for segmentation in ([1, 2, 3, 4, 5, 6], 'abc', dict(size=list(SIZE)), [['a'] * 6]):
        with pytest.raises(DataError, match="'some.jpg' has a segmentation that is neither"):
            RasterizeInstances([JITTER]).transform(make_item([segmentation]))
