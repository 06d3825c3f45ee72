"""Predictions in tiles are those of testing in tiles, and are written without being in memory as a whole."""

import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mask2former.apis import SegInferencer
from mask2former.errors import ConfigError, MissingFileError
from mask2former.formats import image_rows
from mask2former.formats.panoptic_png import read_id_map
from mask2former.formats.rle import decode_mask
from mask2former.predictions import TiledPrediction, command, load
from mask2former.tiles import TileMerger
from tests.tiny import make_tiny_run

TILES = dict(tile=48, overlap=16)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_tiny_run(tmp_path_factory.mktemp('run'), seed=7)  # of nine segments on a Zen 1


@pytest.fixture(scope='module')
def image(run, tmp_path_factory):
    """A mosaic of the images of the run, as a PNG file."""
    tiles = [cv2.imread(str(path)) for path in sorted(run.images.glob('*.jpg'))[:4]]
    path = tmp_path_factory.mktemp('big') / 'big.png'
    cv2.imwrite(str(path), np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))
    return path


@pytest.fixture(scope='module')
def tested(run, image):
    [sample] = SegInferencer(run.config, run.checkpoint, device='cpu', **TILES)(image)
    return sample


def predict(run, image, task=None, **options):
    options = dict(TILES, score_thr=0.0, device='cpu') | options
    return load(run.config, run.checkpoint, task=task, **options).predict(image)


@pytest.mark.parametrize('rows', ['whole', 'some'])
def test_the_map_is_that_of_testing(run, image, tested, tmp_path, monkeypatch, rows):
    if rows == 'some':
        pytest.importorskip('rasterio')
        monkeypatch.setattr(image_rows, 'WHOLE_PIXELS', 100)
        monkeypatch.setattr('mask2former.predictions.tiled.PICTURE_SIDE', 50)
        monkeypatch.setattr(SegInferencer, 'read_image', None)
    monkeypatch.setattr('mask2former.tiles.merger.STRIP_PIXELS', 1500)
    found = predict(run, image)
    expected = tested.pred_panoptic_seg
    id_map = expected.id_map[0].numpy()
    assert isinstance(found, TiledPrediction) and found.size == id_map.shape
    assert np.array_equal(found.id_map(), id_map)
    infos = {info['id']: info for info in expected.segments_info}
    assert len(infos) > 1 and {segment.id for segment in found.segments} == set(infos)
    for segment in found.segments:
        assert np.array_equal(segment.mask, id_map == segment.id)
        assert segment.score == infos[segment.id]['score'] and segment.area == (id_map == segment.id).sum()
    infos = found.to_panoptic_png(tmp_path / 'map.png')
    assert np.array_equal(read_id_map(tmp_path / 'map.png'), id_map)
    assert {info['id'] for info in infos} == set(np.unique(id_map[id_map > 0]).tolist())
    picture = Image.open(found.save(tmp_path / 'picture.jpg'))
    assert picture.width > picture.height  # the image and, beside it, the segments
    step = 4 if rows == 'some' else 1
    assert found.sample.ori_shape == tuple(-(-side // step) for side in found.size)
    assert np.array_equal(found.sample.pred_panoptic_seg.id_map[0].numpy(), id_map[::step, ::step])


def test_instances_are_those_of_testing(run, image, tested, monkeypatch):
    monkeypatch.setattr('mask2former.predictions.tiled.PICTURE_SIDE', 70)
    found = predict(run, image, 'instance', score_thr=0.1)
    expected = tested.pred_instances
    kept = int((expected.scores >= 0.1).sum())
    assert 0 < kept == len(found.segments) and [s.rle for s in found.segments] == expected.masks[:kept]
    assert [s.score for s in found.segments] == pytest.approx(expected.scores[:kept].tolist())
    for small, segment in zip(found.sample.pred_instances.masks, found.segments, strict=True):
        assert np.array_equal(decode_mask(small), segment.mask[::3, ::3])
    with pytest.raises(ConfigError, match='Instances may overlap'):
        next(found.strips())


def test_classes_are_those_of_testing(run, image, tested):
    predictor = load(run.config, run.checkpoint, task='semantic', device='cpu', **TILES)
    found = predictor.predict(image)
    labels = tested.pred_sem_seg.sem_seg[0].numpy()
    assert [segment.label for segment in found.segments] == [predictor.classes[i] for i in np.unique(labels)]
    for segment, label in zip(found.segments, np.unique(labels)):
        assert segment.score is None and np.array_equal(segment.mask, labels == label)


def test_one_tile_is_no_tile(run, image):
    found, plain = predict(run, image, tile=4096, overlap=9), load(run.config, run.checkpoint, device='cpu')
    assert type(found) is not TiledPrediction
    expected = plain.predict(image)
    assert found.segments == expected.segments


def test_arrays_and_missing_files(run, image):
    array = cv2.imread(str(image))
    assert np.array_equal(predict(run, array).id_map(), predict(run, image).id_map())
    with pytest.raises(MissingFileError, match="There is no image 'absent.png'"):
        predict(run, 'absent.png')


def test_the_command_writes_a_map_on_earth(run, image, tmp_path, monkeypatch, capsys):
    rasterio = pytest.importorskip('rasterio')
    pixels = cv2.imread(str(image))[..., ::-1]
    transform = rasterio.transform.from_origin(300000, 5000000, 10, 10)
    options = dict(height=pixels.shape[0], width=pixels.shape[1], count=3, crs='EPSG:32633', transform=transform)
    with rasterio.open(tmp_path / 'field.tif', 'w', driver='GTiff', dtype='uint8', **options) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    arguments = [tmp_path / 'field.tif', run.config, run.checkpoint, '--tile', 48, '--overlap', 16, '--device', 'cpu']
    arguments += ['--out', tmp_path / 'out', '--format', 'panoptic', 'coco', 'picture', 'labelme', 'cvat']
    monkeypatch.setattr(sys, 'argv', ['predict', *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 0
    with rasterio.open(tmp_path / 'out' / 'field_segments.tif') as file:
        assert file.transform == transform and file.crs.to_epsg() == 32633
        assert np.array_equal(file.read(1), read_id_map(tmp_path / 'out' / 'field.png'))
    infos = json.loads((tmp_path / 'out' / 'field_segments.json').read_text())
    assert infos and len(json.loads((tmp_path / 'out' / 'results.json').read_text())) == len(infos)
    assert {path.name for path in (tmp_path / 'out').iterdir()} >= {'field.jpg', 'field.json', 'annotations.xml'}


def test_behind_the_first_tile_only_what_is_wanted_is_made(run, image, monkeypatch):
    add, made = TileMerger.add, []
    monkeypatch.setattr(TileMerger, 'add', lambda self, tile, found, *args: (
        made.append(self.fields_of(found)), add(self, tile, found, *args)))  # fmt: skip
    predictor = load(run.config, run.checkpoint, task='semantic', **TILES, device='cpu')
    predictor.predict(image)
    assert len(made[0]) == 3 and made[1:] == [['pred_sem_seg']] * (len(made) - 1) and len(made) > 2
    predictor.predict(image)
    assert len(made[len(made) // 2]) == 3  # all is as it was
