"""The colour augmentation of SSD, against its steps written out plainly; its draws against what is promised."""

import colorsys

import cv2
import numpy as np
import pytest

from mask2former.datasets.transforms.color_augmentation import SSDColorAugmentation, distort
from mask2former.registry import TRANSFORMS

IMAGE = np.random.default_rng(0).integers(0, 256, (31, 45, 3), dtype=np.uint8)


def whole(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def change_hsv(image: np.ndarray, channel: int, change) -> np.ndarray:
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., channel] = change(hsv[..., channel])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


STEPS = dict(
    brightness=lambda image, value: whole(image.astype(np.float32) + value),
    contrast=lambda image, value: whole(image.astype(np.float32) * value),
    saturation=lambda image, value: change_hsv(image, 1, lambda s: whole(s.astype(np.float32) * value)),
    hue=lambda image, value: change_hsv(image, 0, lambda h: (h.astype(int) + value) % 180),
)


@pytest.mark.parametrize('seed', range(40))
def test_every_step_rounds_to_whole_numbers_in_the_reference_s_order(seed):
    rng = np.random.default_rng(seed)
    draws = dict(
        brightness=rng.uniform(-32, 32),
        contrast=rng.uniform(0.5, 1.5),
        saturation=rng.uniform(0.5, 1.5),
        hue=int(rng.integers(-18, 19)),
    )
    draws = {name: value for name, value in draws.items() if rng.integers(2)}
    order = (
        ['brightness', 'contrast', 'saturation', 'hue'] if seed % 2 else ['brightness', 'saturation', 'hue', 'contrast']
    )
    expected = IMAGE
    for name in order:
        if name in draws:
            expected = STEPS[name](expected, draws[name])
    assert np.array_equal(distort(IMAGE, contrast_first=bool(seed % 2), **draws), expected)


def test_without_a_step_the_image_is_as_it_was():
    assert np.array_equal(distort(IMAGE), IMAGE)


def test_draws():
    """Each step in half of the images, independently and evenly over its range; the draws of 4000 images."""
    np.random.seed(0)
    augmentation = TRANSFORMS.build(dict(type='SSDColorAugmentation'))
    draws = [augmentation._draw() for _ in range(4000)]
    for name, least, largest in (
        ('brightness', -32, 32),
        ('contrast', 0.5, 1.5),
        ('saturation', 0.5, 1.5),
        ('hue', -18, 18),
    ):
        values = np.array([draw[name] for draw in draws if name in draw])
        assert abs(len(values) / 4000 - 0.5) < 0.03
        assert least <= values.min() < least + 0.02 * (largest - least)
        assert largest >= values.max() > largest - 0.02 * (largest - least)
        assert abs(values.mean() - (least + largest) / 2) < 0.03 * (largest - least)
    assert abs(np.mean([draw['contrast_first'] for draw in draws]) - 0.5) < 0.03
    assert abs(np.mean(['hue' in draw and 'contrast' in draw for draw in draws]) - 0.25) < 0.03


def test_channels_are_never_swapped_and_the_hue_turns_by_36_degrees():
    """What tells it from mmdet's, which swaps the channels of 42 % of the images and turns the hue by 18 degrees."""
    np.random.seed(0)
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 2] = 200
    hues = []
    for _ in range(500):
        blue, green, top = SSDColorAugmentation().transform(dict(img=red))['img'][0, 0] / 255
        hues.append((colorsys.rgb_to_hsv(top, green, blue)[0] * 360 + 180) % 360 - 180)
    assert -60 < min(hues) < -30 and 30 < max(hues) < 60


@pytest.mark.parametrize('wrong', [dict(contrast_range=(1.5, 0.5)), dict(brightness_delta=-1), dict(hue_delta=91)])
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(ValueError, match=f'SSDColorAugmentation: .*{next(iter(wrong))}'):
        SSDColorAugmentation(**wrong)
