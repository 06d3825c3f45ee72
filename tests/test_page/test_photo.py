"""A visitor's image: read upright and whole, or refused in a sentence before anything large is decoded."""

import io

import numpy as np
import pytest
from PIL import Image

from mask2former.errors import DataError, UserError
from mask2former.page.limits import Limits, RateLimit
from mask2former.page.photo import plain_name, read_photo


def encoded(image, kind='PNG', **options):
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    return packed.getvalue()


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))


@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'TIFF'])
def test_pixels_are_those_of_the_file(kind, image):
    photo = read_photo(encoded(image, kind), 'a.png', Limits())
    assert np.array_equal(photo.image[..., ::-1], np.asarray(image))
    assert (photo.name, photo.original) == ('a.png', (20, 30))


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'I;16'])
def test_other_modes(mode, image):
    grey = Image.fromarray(np.asarray(image.convert('L')).astype(np.uint16) * 256)
    photo = read_photo(encoded(grey if mode == 'I;16' else image.convert(mode)), 'a.png', Limits())
    assert photo.image.shape == (20, 30, 3)


def test_turned_and_reduced(image):
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    photo = read_photo(encoded(image, 'JPEG', exif=exif), 'a.jpg', Limits(image_side=15))
    assert photo.original == (30, 20) and photo.image.shape == (15, 10, 3)


def test_too_large_or_no_image(image, monkeypatch):
    with pytest.raises(DataError, match='more than 0.001 MB'):
        read_photo(encoded(image), 'a.png', Limits(image_mb=0.001))
    for content in (b'', b'GIF89a', b'<svg/>', b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n'):
        with pytest.raises(DataError, match='no image that can be read'):
            read_photo(content, 'a.png', Limits())
    with pytest.raises(DataError, match='damaged'):
        read_photo(encoded(image)[:-200], 'a.png', Limits())
    bomb = encoded(Image.new('1', (9000, 9000)))
    assert len(bomb) < 20_000

    def decoded(*arguments, **options):
        raise AssertionError('it is decoded')

    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', decoded)
    with pytest.raises(DataError, match='9000 x 9000 pixels, more than 50 million'):
        read_photo(bomb, 'a.png', Limits())


@pytest.mark.parametrize(
    'name, plain',
    [
        ('a.jpg', 'a.jpg'),
        ('../../etc/passwd.png', 'passwd.png'),
        ('C:\\pictures\\b.png', 'b.png'),
        ('x"><img src=y>.png', 'ximg src=y.png'),
        ('', 'image.png'),
        ('..', 'image.png'),
        ('.png', 'image.png'),
        ('a\nb.png', 'ab.png'),
        ('猫.jpg', '猫.jpg'),
    ],
)
def test_names(name, plain):
    assert plain_name(name) == plain
    assert len(plain_name('a' * 500 + '.png')) == 120


def test_requests_are_counted_for_each_visitor():
    now = [0.0]
    rate = RateLimit(2, clock=lambda: now[0])
    rate.ask('a')
    now[0] = 30
    rate.ask('a')
    rate.ask('b')
    with pytest.raises(UserError, match='go on in 30 s'):
        rate.ask('a')
    now[0] = 61
    rate.ask('a')
    with pytest.raises(UserError, match='go on in 29 s'):
        rate.ask('a')
    now[0] = 500
    rate.ask('c')
    assert set(rate._asked) == {'c'}
