"""Files in the place of an image: read to 8 bits and three channels, or refused in a sentence that names the file."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mask2former.data_tools.check.inspect import inspect
from mask2former.data_tools.check.source import Entry, Settings, Source
from mask2former.datasets.transforms import LoadImage

from .kit import FINE, last_line

RANDOM = np.random.default_rng(0)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (20, 30, 3), np.uint8))


def saved(kind: str, image: Image.Image = PHOTO, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG file whose header says a size and whose pixels are whatever is given."""
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', zlib.compress(pixels)) + chunk(b'IEND', b'')


LAB = ImageCms.profileToProfile(PHOTO, ImageCms.createProfile('sRGB'), ImageCms.createProfile('LAB'), outputMode='LAB')
JPEG, PNG = saved('JPEG'), saved('PNG')
READ = {
    'jpg': JPEG,
    'png': PNG,
    'bmp': saved('BMP'),
    'gif': saved('GIF'),
    'tiff': saved('TIFF'),
    'webp': saved('WEBP'),
    'lab tiff': saved('TIFF', LAB),
    'cmyk tiff': saved('TIFF', PHOTO.convert('CMYK')),
    'jpeg 2000': saved('JPEG2000'),
    'grey jpg': saved('JPEG', PHOTO.convert('L')),
    'grey png': saved('PNG', PHOTO.convert('L')),
    'one bit png': saved('PNG', PHOTO.convert('1')),
    'palette png': saved('PNG', PHOTO.convert('P')),
    'rgba png': saved('PNG', PHOTO.convert('RGBA')),
    'grey and alpha png': saved('PNG', PHOTO.convert('LA')),
    'cmyk jpg': saved('JPEG', PHOTO.convert('CMYK')),
    'progressive jpg': saved('JPEG', progressive=True),
    '16 bit png': saved('PNG', Image.fromarray(RANDOM.integers(0, 65536, (20, 30), np.uint16))),
    'one pixel': saved('PNG', Image.new('RGB', (1, 1))),
    'one row': saved('PNG', Image.new('RGB', (3000, 1))),
    'one column': saved('PNG', Image.new('RGB', (1, 3000))),
    'jpg called png': JPEG,
    'jpg with a comment': saved('JPEG', comment=b'x' * 60_000),
    'jpg and more': JPEG + b'\0' * 1000,
}
REFUSED = {
    'empty': b'',
    'one byte': b'\xff',
    'text': b'hello',
    'page': b'<html><body>404</body></html>',
    'zeros': b'\0' * 5000,
    'noise': RANDOM.bytes(5000),
    'svg': b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    'zip': b'PK\x03\x04' + bytes(100),
    'jpg of its header': JPEG[:20],
    'png of its header': PNG[:33],
    'png of a pixel less': png_of(30, 20, b''),
    'png of no width': png_of(0, 20, b'\0' * 100),
    'bomb of 10^10 pixels': png_of(100_000, 100_000, b'\0'),
    'bomb of 2^62 pixels': png_of(2**31 - 1, 2**31 - 1, b'\0'),
    'tiff of floats': saved('TIFF', Image.fromarray(RANDOM.random((20, 30), np.float32))),
    'tiff of 32 bits': saved('TIFF', Image.fromarray(RANDOM.integers(0, 9, (20, 30), np.int32))),
    'cmyk jpeg 2000': saved('JPEG2000', PHOTO.convert('CMYK')),
    'icon': saved('ICO'),
    'pcx': saved('PCX'),
    'bmp of 10^9 rows': saved('BMP')[:22] + struct.pack('<i', 10**9) + saved('BMP')[26:],
}


def read(path: Path) -> tuple[str, list]:
    images: list = []
    line = last_line(lambda: images.append(LoadImage()(dict(img_path=str(path)))['img']))
    return line, images


@pytest.mark.parametrize('name', READ)
def test_an_image_is_read(tmp_path, name):
    (tmp_path / 'image.png').write_bytes(READ[name])
    line, images = read(tmp_path / 'image.png')
    assert line == FINE
    assert images[0].dtype == np.uint8 and images[0].ndim == 3 and images[0].shape[2] == 3 and images[0].size


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_no_image_is_named(tmp_path, name):
    (tmp_path / 'image.jpg').write_bytes(REFUSED[name])
    line, images = read(tmp_path / 'image.jpg')
    assert line.startswith('Error: ') and 'image.jpg' in line and not images


@pytest.mark.parametrize('kind', ['folder', 'loop', 'broken link', 'absent', 'below a file', 'long name'])
def test_what_is_no_file_is_named(tmp_path, kind):
    path = tmp_path / 'image.jpg'
    if kind == 'folder':
        path.mkdir()
    elif kind == 'loop':
        os.symlink(path, path)
    elif kind == 'broken link':
        os.symlink(tmp_path / 'gone', path)
    elif kind == 'below a file':
        path.write_bytes(JPEG)
        path /= 'image.jpg'
    elif kind == 'long name':
        path = tmp_path / f'{"x" * 300}image.jpg'
    line, images = read(path)
    assert line.startswith('Error: ') and 'image.jpg' in line and not images


@pytest.mark.parametrize('seed', range(40))
def test_bytes_changed_at_random_crash_nothing(tmp_path, seed):
    """Of a JPEG, a PNG and others in turn; whether such a file is an image yet is for the decoder to say."""
    random = np.random.default_rng(seed)
    names = sorted(READ)
    content = bytearray(READ[names[seed % len(names)]])
    for place in random.integers(0, len(content), 20):
        content[place] = random.integers(0, 256)
    (tmp_path / 'image.jpg').write_bytes(content)
    line, images = read(tmp_path / 'image.jpg')
    assert (line == FINE) == bool(images) and (line == FINE or 'image.jpg' in line)


@pytest.mark.parametrize('name', [*READ, *REFUSED])
def test_the_data_check_finds_what_a_training_cannot_read(tmp_path, name):
    (tmp_path / 'image.png').write_bytes({**READ, **REFUSED}[name])
    entry = Entry(dict(id=1), str(tmp_path / 'image.png'))
    source = Source(Settings('train'), 'panoptic', '', {}, {}, frozenset(), {}, (), {})
    kinds = [problem.kind for problem in inspect(entry, source, headers_only=False).problems]
    assert kinds == ([] if name in READ else ['corrupt image'])
