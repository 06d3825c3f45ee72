"""Big images are read some rows at a time, maps are written so, and both stay where they lie on earth."""

import cv2
import numpy as np
import pytest

from mask2former.errors import DataError, MissingPackageError
from mask2former.formats import image_rows
from mask2former.formats.image_rows import RasterRows, georeference_of, open_rows, write_geotiff
from mask2former.formats.panoptic_png import read_id_map, read_id_map_strictly, write_id_strips

rasterio = pytest.importorskip('rasterio')
ROWS = [slice(0, 40), slice(30, 70), slice(60, 100), slice(71, 101)]


@pytest.fixture
def big(monkeypatch):
    monkeypatch.setattr(image_rows, 'WHOLE_PIXELS', 100)


def forbidden():
    raise AssertionError('the whole image is read')


def picture(bands=3, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 250, (101, 57, bands)).astype(dtype)


def write_tiff(path, image, **options):
    options = dict(driver='GTiff', height=image.shape[0], width=image.shape[1], count=image.shape[2]) | options
    with rasterio.open(path, 'w', dtype=image.dtype.name, **options) as file:
        file.write(np.moveaxis(image, -1, 0))


@pytest.mark.parametrize('name', ['image.png', 'image.tif', 'grey.png', 'alpha.png'])
def test_rows_are_those_that_opencv_reads(big, tmp_path, name):
    bands = dict(grey=1, alpha=4).get(name.split('.')[0], 3)
    cv2.imwrite(str(tmp_path / name), picture(bands))
    expected = cv2.imread(str(tmp_path / name), cv2.IMREAD_COLOR)
    rows = open_rows(tmp_path / name, None, forbidden)
    assert isinstance(rows, RasterRows) and rows.size == (101, 57)
    for part in ROWS:
        assert np.array_equal(rows.read(part), expected[part])
    with pytest.raises(ValueError, match='asked for after'):
        rows.read(slice(0, 10))


@pytest.mark.parametrize(('bands', 'dtype'), [(5, np.uint16), (3, np.uint8), (2, np.float32)])
def test_bands_keep_their_type_and_three_are_reversed(big, tmp_path, bands, dtype):
    image = picture(bands, dtype)
    write_tiff(tmp_path / 'image.tif', image)
    rows = open_rows(tmp_path / 'image.tif', bands, forbidden)
    expected = image[..., ::-1] if bands == 3 else image
    for part in ROWS:
        found = rows.read(part)
        assert found.dtype == dtype and np.array_equal(found, expected[part])


def test_each_row_is_read_once(big, tmp_path):
    write_tiff(tmp_path / 'image.tif', picture())
    rows = open_rows(tmp_path / 'image.tif', None, forbidden)
    read, count = rows.dataset.read, []

    class Counting:
        dtypes = rows.dataset.dtypes

        def read(self, indexes, window):
            count.extend(range(*window[0]))
            return read(indexes, window=window)

    rows.dataset = Counting()
    for part in ROWS:
        rows.read(part)
    assert count == list(range(101))


def test_unusual_and_small_images_are_read_as_a_whole(monkeypatch, tmp_path):
    whole = picture()
    write_tiff(tmp_path / 'image.tif', whole)
    assert open_rows(tmp_path / 'image.tif', None, lambda: whole).read(slice(3, 9)).shape == (6, 57, 3)  # small
    monkeypatch.setattr(image_rows, 'WHOLE_PIXELS', 100)
    write_tiff(tmp_path / 'deep.tif', picture(3, np.uint16))
    (tmp_path / 'text.png').write_text('no image')
    for path, bands in (('deep.tif', None), ('image.tif', 4), ('text.png', None)):
        with pytest.raises(AssertionError, match='the whole image is read'):
            open_rows(tmp_path / path, bands, forbidden)


def test_without_rasterio_images_are_read_as_a_whole(big, tmp_path, monkeypatch, caplog):
    cv2.imwrite(str(tmp_path / 'image.png'), picture())

    def absent():
        raise MissingPackageError('rasterio is not installed')

    monkeypatch.setattr(image_rows, '_rasterio', absent)
    assert open_rows(tmp_path / 'image.png', None, picture).size == (101, 57)
    assert "image.png' is read as a whole: reading some rows at a time needs rasterio" in caplog.text
    assert georeference_of(tmp_path / 'image.png') is None


def test_a_file_that_is_cut_off_is_named(big, tmp_path):
    cv2.imwrite(str(tmp_path / 'image.png'), picture())
    content = (tmp_path / 'image.png').read_bytes()
    (tmp_path / 'image.png').write_bytes(content[: len(content) // 2])
    rows = open_rows(tmp_path / 'image.png', None, forbidden)
    with pytest.raises(DataError, match=r"image.png' cannot be decoded \(.*\); replace it."):
        for part in ROWS:
            rows.read(part)


def test_a_map_in_strips_is_the_map(tmp_path):
    ids = np.random.default_rng(0).integers(0, 2**24, (90, 31)).astype(np.int32)
    strips = [(slice(a, b), ids[a:b]) for a, b in ((0, 1), (1, 50), (50, 90))]
    write_id_strips(tmp_path / 'map.png', strips, ids.shape)
    assert np.array_equal(read_id_map(tmp_path / 'map.png'), ids)
    assert np.array_equal(read_id_map_strictly(tmp_path / 'map.png'), ids)  # Pillow checks the sums


def test_maps_lie_where_the_image_lies(tmp_path):
    transform = rasterio.transform.from_origin(500000, 4600000, 0.5, 0.5)
    write_tiff(tmp_path / 'image.tif', picture(), crs='EPSG:32633', transform=transform)
    where = georeference_of(tmp_path / 'image.tif')
    ids = np.arange(101 * 57, dtype=np.int32).reshape(101, 57)
    strips = [(slice(0, 60), ids[:60]), (slice(60, 101), ids[60:])]
    write_geotiff(tmp_path / 'map.tif', strips, ids.shape, where)
    with rasterio.open(tmp_path / 'map.tif') as file:
        assert file.crs.to_epsg() == 32633 and file.transform == transform and file.nodata == 0
        assert np.array_equal(file.read(1), ids)
    write_tiff(tmp_path / 'plain.tif', picture())
    assert georeference_of(tmp_path / 'plain.tif') is None


def test_control_points_are_kept(tmp_path):
    points = [rasterio.control.GroundControlPoint(r, c, 10 + c / 100, 50 - r / 100) for r in (0, 100) for c in (0, 56)]
    write_tiff(tmp_path / 'image.tif', picture(), gcps=points, crs='EPSG:4326')
    ids = np.zeros((101, 57), np.int32)
    write_geotiff(tmp_path / 'map.tif', [(slice(0, 101), ids)], ids.shape, georeference_of(tmp_path / 'image.tif'))
    with rasterio.open(tmp_path / 'map.tif') as file:
        found, crs = file.gcps
    assert [(p.row, p.col, p.x, p.y) for p in found] == [(p.row, p.col, p.x, p.y) for p in points]
    assert crs.to_epsg() == 4326
