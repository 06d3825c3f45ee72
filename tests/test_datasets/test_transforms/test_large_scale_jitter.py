"""``LargeScaleJitter`` equals mmcv's and mmdet's resize, crop and pad, one after another."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from mask2former.datasets.transforms import LargeScaleJitter
from mask2former.errors import ConfigError
from mask2former.registry import TRANSFORMS

CROP, SCALE, COLOUR = (96, 72), (100, 100), (104, 116, 124)  # width, height
SIZES = [(80, 110), (120, 66), (31, 97), (200, 300)]


def one_after_another(image: np.ndarray) -> dict:
    return Compose(
        [
            dict(
                type='mmdet.RandomResize',
                scale=SCALE,
                ratio_range=(0.1, 2.0),
                resize_type='mmdet.Resize',
                keep_ratio=True,
            ),
            dict(type='mmdet.RandomCrop', crop_size=CROP),
            dict(type='mmdet.Pad', size=CROP, pad_val=dict(img=COLOUR)),
        ]
    )(dict(img=image))


def jitter(**options) -> LargeScaleJitter:
    cfg = dict(type='LargeScaleJitter', crop_size=CROP, scale=SCALE, ratio_range=(0.1, 2.0), pad_val=COLOUR)
    return TRANSFORMS.build(dict(cfg, **options))


def drawn(seed: int, height: int, width: int, flips: int = 0) -> tuple[int, int, int, int]:
    """The size of the resized image and the crop's upper left corner: h, w, y, x; after so many flips were drawn."""
    np.random.seed(seed)
    for _ in range(flips):
        np.random.choice(2, p=[0.5, 0.5])
    side = int(100 * (np.random.random_sample() * 1.9 + 0.1))
    factor = side / max(height, width)
    h, w = int(height * factor + 0.5), int(width * factor + 0.5)
    return h, w, *(np.random.randint(0, max(size - limit, 0) + 1) for size, limit in ((h, CROP[1]), (w, CROP[0])))


def noise(size: tuple[int, int], sigma: float) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    if sigma:
        image = cv2.normalize(cv2.GaussianBlur(image, (0, 0), sigma), None, 0, 255, cv2.NORM_MINMAX)
    return image


@pytest.mark.parametrize('sigma, tolerance', [(0, 5), (1.2, 1)], ids=['hardest edges', 'smooth'])
@pytest.mark.parametrize('size', SIZES)
def test_image_equals_mmdet(size, sigma, tolerance):
    image, cropped, transform = noise(size, sigma), 0, jitter()
    for seed in range(40):
        np.random.seed(seed)
        theirs = one_after_another(image)
        state = np.random.random()
        np.random.seed(seed)
        ours = transform.transform(dict(img=image))
        assert np.random.random() == state, 'the same random numbers are drawn'
        assert ours['img'].dtype == np.uint8 and ours['img'].shape == theirs['img'].shape == (*CROP[::-1], 3)
        for key in ('scale_factor', 'scale', 'keep_ratio'):
            assert ours[key] == theirs[key]
        assert ours['img_shape'] == CROP[::-1] and 'gt_seg_map' not in ours
        difference = np.abs(ours['img'].astype(int) - theirs['img'])
        resized = (round(size[0] * ours['scale_factor'][1]), round(size[1] * ours['scale_factor'][0]))
        is_cropped = resized[0] > CROP[1] or resized[1] > CROP[0]
        assert difference.max() <= (tolerance if is_cropped else 0)
        cropped += is_cropped
    assert 5 < cropped < 35


@pytest.mark.parametrize('shape, dtype', [((80, 110), np.uint8), ((120, 66), np.uint16), ((31, 97, 3), np.uint8)])
def test_map_equals_pillow(shape, dtype):
    """Pillow takes the nearest neighbour of pixel centres, too."""
    seg_map = np.random.default_rng(0).integers(1, np.iinfo(dtype).max, shape, dtype=dtype)
    height, width = shape[:2]
    image, transform, compared = noise((height, width), 0), jitter(), 0
    for seed in range(40):
        np.random.seed(seed)
        ours = transform.transform(dict(img=image, gt_seg_map=seg_map))['gt_seg_map']
        h, w, y, x = drawn(seed, height, width)
        layers = seg_map.reshape(height, width, -1)
        expected = np.zeros((*CROP[::-1], layers.shape[2]), dtype=dtype)
        for i in range(layers.shape[2]):
            layer = Image.fromarray(layers[..., i].astype(np.int32)).resize((w, h), Image.Resampling.NEAREST)
            layer = np.asarray(layer)[y : y + CROP[1], x : x + CROP[0]]
            expected[: layer.shape[0], : layer.shape[1], i] = layer
        assert ours.dtype == dtype and ours.shape == (*CROP[::-1], *shape[2:])
        # Where a centre lies on the border of two pixels, Pillow's rounding decides: not compared.
        rows, columns = (
            (2 * np.arange(start, start + limit) + 1) * source % (2 * size) != 0
            for source, size, start, limit in ((height, h, y, CROP[1]), (width, w, x, CROP[0]))
        )
        compared += rows.mean() * columns.mean() / 40
        different = ours.reshape(expected.shape) != expected
        assert not different[rows][:, columns].any()
    assert compared > 0.8


@pytest.mark.parametrize('size', [*SIZES, (700, 40)])
def test_pillow_backend_equals_pillow_bit_for_bit(size):
    """What detectron2's resizing gives, enlarged, made smaller and cropped; beyond the image is the colour."""
    image, transform, cropped = noise(size, 0), jitter(backend='pillow'), 0
    for seed in range(60):
        np.random.seed(seed)
        ours = transform.transform(dict(img=image))['img']
        h, w, y, x = drawn(seed, *size)
        cropped += h > CROP[1] or w > CROP[0]
        whole = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))
        expected = np.full((*CROP[::-1], 3), COLOUR, np.uint8)
        part = whole[y : y + CROP[1], x : x + CROP[0]]
        expected[: part.shape[0], : part.shape[1]] = part
        assert ours.dtype == np.uint8 and np.array_equal(ours, expected)
    assert 5 < cropped < 55


def test_unknown_backend():
    with pytest.raises(ConfigError, match="LargeScaleJitter: backend is 'PIL'; give 'cv2' or 'pillow'"):
        jitter(backend='PIL')


def test_crops_lie_anywhere_in_the_image():
    """The reference draws one number for both directions, so that its crops lie on the diagonal."""
    image = np.indices((200, 200), dtype=np.uint8).transpose(1, 2, 0)
    image = np.dstack([image, image[..., :1]])  # a pixel says where it was
    transform = LargeScaleJitter(crop_size=(100, 100), scale=(200, 200), ratio_range=(1, 1))
    np.random.seed(0)
    corners = np.array([transform.transform(dict(img=image))['img'][0, 0, :2] for _ in range(200)])
    assert corners.min() < 10 and corners.max() > 90
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.2


def test_ratio_one_of_an_image_of_the_scale_changes_nothing():
    image = noise((60, 90), 0)
    seg_map = np.random.default_rng(1).integers(0, 9, (60, 90), dtype=np.uint8)
    transform = LargeScaleJitter(crop_size=(100, 80), scale=(90, 90), ratio_range=(1, 1), pad_val=(1, 2, 3))
    results = transform.transform(dict(img=image, gt_seg_map=seg_map))
    assert np.array_equal(results['img'][:60, :90], image) and np.array_equal(results['gt_seg_map'][:60, :90], seg_map)
    for beyond in (results['img'][60:], results['img'][:60, 90:]):
        assert (beyond == (1, 2, 3)).all() and beyond.size
    assert not results['gt_seg_map'][60:].any() and not results['gt_seg_map'][:, 90:].any()
    assert results['scale_factor'] == (1, 1)


@pytest.mark.parametrize('ratio_range', [(0, 1), (2, 1), (-1, 1)])
def test_wrong_ratio_range(ratio_range):
    with pytest.raises(ValueError, match='LargeScaleJitter: ratio_range is .*; give'):
        LargeScaleJitter(crop_size=(8, 8), ratio_range=ratio_range)
