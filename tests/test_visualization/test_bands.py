"""Pictures of images of any number of bands and of any type."""

import numpy as np
import pytest

from mask2former.errors import ConfigError
from mask2former.visualization import SegLocalVisualizer
from mask2former.visualization.bands import as_rgb


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_uint8_values_stay(shape):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    drawn = as_rgb(image)
    assert drawn.shape == (4, 5, 3)
    assert (drawn == image.reshape(4, 5, -1)).all()


@pytest.mark.parametrize(
    'image',
    [np.zeros((4, 5, 3), bool), np.zeros((4, 5, 3), complex), np.zeros((3,), np.uint8), np.zeros((0, 5, 3), np.uint8)],
)
def test_other_images_are_refused(image):
    with pytest.raises(ConfigError, match='hold numbers'):
        as_rgb(image)


@pytest.mark.parametrize('bands, chosen', [(None, (0, 1, 2)), ((5, 0, 3), (5, 0, 3)), ([4], (4, 4, 4))])
def test_the_bands_that_are_shown(bands, chosen):
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 6)).astype(np.uint8)
    np.testing.assert_array_equal(as_rgb(image, bands), image[..., chosen])
    visualizer = SegLocalVisualizer(bands=bands, panel_sides=(1, 9))
    np.testing.assert_array_equal(visualizer.draw_datasample(image)[-8:], image[..., chosen])
    assert (as_rgb(image[..., :2]) == image[..., :1]).all()


def test_other_types_are_stretched_band_by_band():
    """Between the percentiles a straight line, black below and white above."""
    ramp = np.arange(101.0)
    image = np.stack([ramp, 1000 * ramp[::-1], np.full(101, 7.0)], axis=-1)[None]  # percentile p of the first is p
    drawn = as_rgb(image.astype(np.float32))
    expected = np.rint(np.clip((ramp - 2) / 96, 0, 1) * 255)
    np.testing.assert_array_equal(drawn[0, :, 0], expected)
    assert np.abs(drawn[0, :, 1] - expected[::-1]).max() <= 1  # halves are rounded either way
    assert not drawn[..., 2].any() and drawn.dtype == np.uint8
    np.testing.assert_array_equal(as_rgb((image + 3).astype(np.int16)[..., :1])[0, :, 2], expected)


def test_bands_that_are_not_there():
    with pytest.raises(ConfigError, match=r'are \(0, 1, 6\), but the image has 6: give one or three of 0 to 5'):
        as_rgb(np.zeros((4, 5, 6), np.uint8), (0, 1, 6))
    with pytest.raises(ConfigError, match=r'are \(0, 1\): give one, which is grey, or three'):
        SegLocalVisualizer(bands=(0, 1))
