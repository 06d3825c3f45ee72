"""Images of N bands are read as other libraries wrote them, or one sentence names the file."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mask2former.errors import DataError, MissingFileError, MissingPackageError
from mask2former.formats.bands import BandsError, decode_bands, in_file_order, read_bands, read_header
from mask2former.formats.images import image_size

SIZE = (20, 30)  # height, width
UNCOMPRESSED = [cv2.IMWRITE_TIFF_COMPRESSION, 1]


def random_image(bands, dtype='uint16', seed=0):
    image = np.random.default_rng(seed).integers(0, 256 if dtype == 'uint8' else 30000, (*SIZE, bands))
    return image.astype(dtype)


TIFF_LAYOUTS = {
    'bands last': lambda path, x: tifffile.imwrite(path, x, photometric='minisblack', planarconfig='contig'),
    'bands first': lambda path, x: tifffile.imwrite(
        path, np.moveaxis(x, 2, 0), photometric='minisblack', planarconfig='separate'
    ),
    'a page a band': lambda path, x: tifffile.imwrite(path, np.moveaxis(x, 2, 0), photometric='minisblack'),
    'pages by OpenCV': lambda path, x: cv2.imwritemulti(
        str(path), [np.ascontiguousarray(band) for band in np.moveaxis(x, 2, 0)], UNCOMPRESSED
    ),
    'not described': lambda path, x: tifffile.imwrite(path, x),
    'deflated, big-endian': lambda path, x: tifffile.imwrite(
        path, x, photometric='minisblack', planarconfig='contig', compression='zlib', byteorder='>'
    ),
    'BigTIFF in tiles': lambda path, x: tifffile.imwrite(
        path, x, photometric='minisblack', planarconfig='contig', bigtiff=True, tile=(16, 16)
    ),
    'ImageJ': lambda path, x: tifffile.imwrite(path, np.moveaxis(x, 2, 0), imagej=True, metadata={'axes': 'CYX'}),
    'OME': lambda path, x: tifffile.imwrite(path, np.moveaxis(x, 2, 0), ome=True, metadata={'axes': 'CYX'}),
}


@pytest.mark.parametrize('layout', TIFF_LAYOUTS)
def test_every_layout_of_a_tiff_file(layout, tmp_path):
    image = random_image(5)
    path = tmp_path / ('a.ome.tif' if layout == 'OME' else 'a.tif')
    TIFF_LAYOUTS[layout](path, image)
    read = read_bands(path, 5)
    assert read.dtype == np.uint16 and read.flags.c_contiguous and read.dtype.isnative
    np.testing.assert_array_equal(read, image)
    assert read_header(path, 5) == (SIZE, 'uint16')


@pytest.mark.parametrize('first', [False, True])
def test_numpy_files(first, tmp_path):
    image = random_image(7, 'float32')
    np.save(tmp_path / 'a.npy', np.moveaxis(image, 2, 0) if first else image)
    np.testing.assert_array_equal(read_bands(tmp_path / 'a.npy', 7), image)
    assert read_header(tmp_path / 'a.npy', 7) == (SIZE, 'float32')


def test_a_tiff_file_says_its_bands_where_two_axes_are_as_long(tmp_path):
    image = np.random.default_rng(0).integers(0, 9999, (20, 5, 5)).astype(np.uint16)  # five pixels wide
    TIFF_LAYOUTS['bands first'](tmp_path / 'a.tif', image)
    np.testing.assert_array_equal(read_bands(tmp_path / 'a.tif', 5), image)


@pytest.mark.parametrize('bands', [1, 3, 4])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16'])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_files_by_opencv_are_in_the_order_of_the_file(bands, dtype, suffix, tmp_path):
    image = random_image(bands, dtype)
    order = [0] if bands == 1 else [2, 1, 0, 3][:bands]
    cv2.imwrite(str(tmp_path / f'a{suffix}'), image[..., order], UNCOMPRESSED if suffix == '.tif' else [])
    np.testing.assert_array_equal(read_bands(tmp_path / f'a{suffix}', bands), image)
    assert read_header(tmp_path / f'a{suffix}', bands) in ((SIZE, None), (SIZE, dtype))


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.jpg'])
def test_colours_by_pillow(suffix, tmp_path):
    """The name says nothing: the content does."""
    image = random_image(3, 'uint8')
    Image.fromarray(image).save(tmp_path / f'a{suffix}', quality=100, subsampling=0)
    (tmp_path / f'a{suffix}').rename(tmp_path / 'a.dat')
    read = read_bands(tmp_path / 'a.dat', 3)
    expected = np.asarray(Image.open(tmp_path / 'a.dat'))
    assert np.abs(read.astype(int) - expected).max() <= (3 if suffix == '.jpg' else 0)
    np.testing.assert_array_equal(in_file_order(read[..., ::-1]), read)


@pytest.mark.parametrize(
    'written, read',
    [
        ('uint8', 'uint8'),
        ('int16', 'int16'),
        ('float32', 'float32'),
        ('bool', 'uint8'),
        ('int8', 'int16'),
        ('float64', 'float32'),
        ('float16', 'float32'),
        ('uint32', 'float32'),
        ('>u2', 'uint16'),
    ],
)
def test_types(written, read, tmp_path):
    image = np.random.default_rng(0).integers(0, 100, (*SIZE, 2)).astype(written)
    np.save(tmp_path / 'a.npy', image)
    found = read_bands(tmp_path / 'a.npy', 2)
    assert found.dtype == read and found.dtype.isnative
    np.testing.assert_array_equal(found, image.astype(read))
    assert read_header(tmp_path / 'a.npy', 2).dtype == read


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


NAN = np.zeros((4, 5, 2), np.float32)
NAN[1, 2, 0] = np.nan


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'cannot be decoded .*replace it'),
        (b'torn', 'cannot be decoded .*replace it'),
        (b'II*\0torn', 'cannot be decoded .*replace it'),
        (npy(np.zeros((4, 5, 2)))[:100], 'cannot be decoded .*replace it'),
        (npy(np.array([{}, {}])), 'cannot be decoded'),  # pickled: code could run
        (npy(NAN), 'has 1 values that are not finite'),
        (npy(np.full((4, 5, 2), 1e60)), 'has 40 values that are not finite'),
        (npy(np.zeros((4, 5, 2), np.complex64)), 'has values of the type complex64: write numbers'),
    ],
)
def test_broken_files_are_named(content, message):
    with pytest.raises(DataError, match=f"'some.file' {message}"):
        decode_bands(content, 'some.file', 2)


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 3), (2, 4, 5, 2), (5,)])
def test_another_number_of_bands_is_refused(shape, tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros(shape, np.uint8))
    sentence = (
        rf"a\.npy' is of {' x '.join(map(str, shape))} values, which are not the 2 bands that LoadImage\(bands=2\)"
    )
    for read in (read_bands, read_header):
        with pytest.raises(BandsError, match=sentence):
            read(tmp_path / 'a.npy', 2)


def test_a_described_axis_of_another_length_is_no_band(tmp_path):
    """Three bands of images five pixels high are not five bands."""
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((5, 30, 3), np.uint8), photometric='rgb')
    with pytest.raises(BandsError, match=r'5 x 30 x 3 values \(axes YXS\)'):
        read_bands(tmp_path / 'a.tif', 5)


def test_missing_files_and_packages(tmp_path, monkeypatch):
    for read in (read_bands, read_header):
        with pytest.raises(MissingFileError, match=r"absent\.tif' does not exist"):
            read(tmp_path / 'absent.tif', 2)
    TIFF_LAYOUTS['bands last'](tmp_path / 'a.tif', random_image(5))
    monkeypatch.setitem(__import__('sys').modules, 'tifffile', None)
    for read in (read_bands, read_header):
        with pytest.raises(MissingPackageError, match=r"a\.tif' is a TIFF file.*pip install tifffile"):
            read(tmp_path / 'a.tif', 5)


def test_a_compression_that_tifffile_alone_cannot_read(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'imagecodecs', None)
    image = random_image(3, 'uint8')
    Image.fromarray(image).save(tmp_path / 'a.tif', compression='tiff_lzw')
    with pytest.raises(MissingPackageError, match=r"a\.tif' is compressed .*pip install imagecodecs"):
        read_bands(tmp_path / 'a.tif', 3)


@pytest.mark.parametrize('bands', [2, 5, 13])
@pytest.mark.parametrize('layout', TIFF_LAYOUTS)
def test_the_size_is_known_without_the_number_of_bands(layout, bands, tmp_path):
    TIFF_LAYOUTS[layout](tmp_path / 'a.tif', random_image(bands))
    assert image_size(tmp_path / 'a.tif') == SIZE


@pytest.mark.parametrize('shape', [SIZE, (*SIZE, 5), (5, *SIZE), (*SIZE, 1), (1, *SIZE)])
def test_the_size_of_a_numpy_file(shape, tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros(shape, np.float32))
    assert image_size(tmp_path / 'a.npy') == SIZE


def test_what_has_no_size_is_named(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros((2, 3, 4, 5)))
    with pytest.raises(DataError, match="a.npy' is of 2 x 3 x 4 x 5 values: write height, width and bands.$"):
        image_size(tmp_path / 'a.npy')
    (tmp_path / 'b.tif').write_bytes(b'II*' + bytes(20))
    with pytest.raises(DataError, match="b.tif' cannot be decoded"):
        image_size(tmp_path / 'b.tif')
