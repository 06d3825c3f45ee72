"""Python objects of results: what they hold is what the model gave, and other libraries read what they write."""

import io
import json
import shutil
import sys
import xml.etree.ElementTree as ET
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mask2former.errors import ConfigError, MissingFileError, UserError
from mask2former.formats.panoptic_png import read_id_map
from mask2former.formats.rle import encode_mask
from mask2former.predictions import command, exchange, load
from mask2former.predictions.loading import locate, locate_run
from mask2former.predictions.prediction import Segment
from mask2former.predictions.predictor import Predictor


@pytest.fixture(scope='module')
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope='module')
def predictor(run):
    return load(run.config, run.checkpoint, score_thr=0.0, device='cpu')


@pytest.fixture(scope='module')
def image(run):
    return run.images / '000000.jpg'


@pytest.fixture(scope='module')
def panoptic(predictor, image):
    return predictor.predict(image)


@pytest.fixture(scope='module')
def instances(run, image):
    return load(run.config, run.checkpoint, task='instance', score_thr=0.0, device='cpu').predict(image)


def test_segments_are_those_of_the_model(panoptic, predictor, image):
    [sample] = predictor.inferencer(image)
    infos = {info['id']: info for info in sample.pred_panoptic_seg.segments_info}
    id_map = sample.pred_panoptic_seg.id_map[0].numpy()
    assert panoptic.segments and {segment.id for segment in panoptic.segments} == set(infos)
    for segment in panoptic.segments:
        assert segment.label == predictor.classes[infos[segment.id]['label']]
        assert np.array_equal(segment.mask, id_map == segment.id)
        assert segment.area == (id_map == segment.id).sum()
        rows, columns = np.nonzero(segment.mask)
        sides = columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()
        assert segment.box == (columns.min(), rows.min(), *sides)
        # The outlines enclose the mask.
        canvas = np.zeros(panoptic.size, np.uint8)
        cv2.fillPoly(canvas, [polygon.astype(np.int32) for polygon in segment.polygons], 1)
        assert not (segment.mask & ~canvas.astype(bool)).any()
    things = [segment.isthing for segment in panoptic.segments]
    assert things == sorted(things, reverse=True)


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (7, 1)])
def test_points_and_lines_have_outlines_too(shape):
    mask = np.zeros((20, 30), bool)
    mask[5 : 5 + shape[0], 8 : 8 + shape[1]] = True
    [outline] = Segment(1, 'a', 1, True, None, encode_mask(mask)).polygons
    canvas = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [outline.astype(np.int32)], 1)
    assert len(outline) >= 3 and np.array_equal(canvas, mask)


def test_results_for_coco_are_read_by_pycocotools(instances, predictor, image, tmp_path):
    height, width = instances.size
    ids = predictor.inferencer.dataset_meta['category_ids']
    truth = dict(
        images=[dict(id=7, file_name=image.name, height=height, width=width)],
        annotations=[],
        categories=[dict(id=category, name=name) for category, name in zip(ids, predictor.classes)],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    rows = json.loads(json.dumps(instances.to_coco(7)))
    with redirect_stdout(io.StringIO()):
        read = COCO(str(tmp_path / 'truth.json')).loadRes(rows)
    assert len(read.anns) == len(instances.segments) > 0
    for annotation, segment in zip(read.anns.values(), instances.segments):
        assert np.array_equal(coco_mask.decode(annotation['segmentation']).astype(bool), segment.mask)
        assert annotation['category_id'] == segment.category_id
        assert list(annotation['bbox']) == list(segment.box)
        assert annotation['area'] == segment.area  # of the mask, by which pycocotools tells small from large
    scores = [segment.score for segment in instances.segments]
    assert scores == sorted(scores, reverse=True)


def test_panoptic_png(panoptic, instances, tmp_path):
    infos = panoptic.to_panoptic_png(tmp_path / 'map.png')
    id_map = read_id_map(str(tmp_path / 'map.png'))
    assert np.array_equal(id_map, panoptic.id_map())
    assert {info['id']: info['area'] for info in infos} == {s.id: (id_map == s.id).sum() for s in panoptic.segments}
    with pytest.raises(ConfigError, match='overlap'):
        instances.to_panoptic_png(tmp_path / 'none.png')


def test_labelme_and_cvat(panoptic, tmp_path):
    content = panoptic.to_labelme(tmp_path / 'image.json')
    assert json.loads((tmp_path / 'image.json').read_text()) == content
    assert (content['imageHeight'], content['imageWidth']) == panoptic.size
    assert {shape['label'] for shape in content['shapes']} <= {segment.label for segment in panoptic.segments}
    [image] = ET.fromstring(panoptic.to_cvat(tmp_path / 'image.xml', image_id=3)).findall('image')
    assert ET.parse(tmp_path / 'image.xml').getroot().find('image').attrib == image.attrib
    assert (image.get('id'), image.get('name')) == ('3', '000000.jpg')
    for mask, segment in zip(image.findall('mask'), panoptic.segments, strict=True):
        left, top, width, height = (int(mask.get(key)) for key in ('left', 'top', 'width', 'height'))
        runs = [int(run) for run in mask.get('rle').split(', ')]
        pixels = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)  # background first
        drawn = np.zeros(panoptic.size, bool)
        drawn[top : top + height, left : left + width] = pixels
        assert np.array_equal(drawn, segment.mask)
        assert mask.get('label') == segment.label


def read_brush(rle):
    """The values of rle-pack's code, read bit by bit as its source does: https://github.com/thi-ng/umbrella."""
    bits = ''.join(f'{byte:08b}' for byte in rle)
    place = 0

    def read(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        is_run, count = read(1), read(sizes[read(2)]) + 1
        values += [read(word)] * count if is_run else [read(word) for _ in range(count)]
    return np.array(values, np.uint8)


# A mask (4, 5) with a square of 2 x 3, less one pixel, by label_studio_sdk.converter.brush.encode_rle (2.1.2).
OF_LABEL_STUDIO = [0, 0, 0, 80, 57, 27, 254, 23, 0, 183, 255, 56, 4, 127, 241, 128, 71, 255, 133, 192, 0]


def test_brush_of_label_studio():
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    mask[2, 2] = False
    shape = exchange.Shape(1, 'a', encode_mask(mask), [])
    [task] = exchange.label_studio('a.png', mask.shape, [shape])
    assert task['predictions'][0]['result'][0]['value']['rle'] == OF_LABEL_STUDIO
    rng = np.random.default_rng(0)
    for mask in (rng.random((37, 53)) < 0.5, np.ones((300, 301), bool), np.zeros((1, 1), bool)):
        shape = exchange.Shape(1, 'a', encode_mask(mask), [])
        [task] = exchange.label_studio('a.png', mask.shape, [shape])
        values = read_brush(task['predictions'][0]['result'][0]['value']['rle'])
        assert np.array_equal(values.reshape(*mask.shape, 4), np.repeat(mask[..., None] * np.uint8(255), 4, axis=2))


def test_label_studio(panoptic, predictor, tmp_path):
    [task] = panoptic.to_label_studio(tmp_path / 'tasks.json')
    assert json.loads((tmp_path / 'tasks.json').read_text()) == [task] and task['data'] == dict(image='000000.jpg')
    regions = task['predictions'][0]['result']
    for region, segment in zip(regions, panoptic.segments, strict=True):
        assert (region['original_height'], region['original_width']) == panoptic.size
        assert region['value']['brushlabels'] == [segment.label] and region['score'] == segment.score
        assert np.array_equal(read_brush(region['value']['rle'])[::4].reshape(panoptic.size) == 255, segment.mask)
    [task] = panoptic.to_label_studio(image='https://example.org/a.jpg', polygons=True)
    regions = task['predictions'][0]['result']
    assert task['data'] == dict(image='https://example.org/a.jpg')
    assert len({region['id'] for region in regions}) == len(regions) == sum(len(s.polygons) for s in panoptic.segments)
    height, width = panoptic.size
    first = panoptic.segments[0].polygons[0]
    assert np.allclose(np.array(regions[0]['value']['points']) * (width / 100, height / 100), first, atol=1e-3)
    names = {name: color for name, color in zip(predictor.classes, [(255, 0, 16)] * len(predictor.classes))}
    for polygons, tag, kind in ((False, 'BrushLabels', 'brushlabels'), (True, 'PolygonLabels', 'polygonlabels')):
        view = ET.fromstring(exchange.label_studio_interface(names, polygons))
        [region, *_] = panoptic.to_label_studio(polygons=polygons)[0]['predictions'][0]['result']
        assert region['type'] == kind and region['from_name'] == view.find(tag).get('name')
        assert region['to_name'] == view.find('Image').get('name') and view.find('Image').get('value') == '$image'
        assert [(label.get('value'), label.get('background')) for label in view.iter('Label')] == [
            (n, '#ff0010') for n in names
        ]


def test_drawing(panoptic, tmp_path):
    written = panoptic.save(tmp_path / 'folder')
    assert written == tmp_path / 'folder' / '000000.jpg'
    assert panoptic.save(tmp_path / 'one.png') == tmp_path / 'one.png'
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'one.png')), panoptic.draw())


def test_no_image_is_written_over(run, predictor, image, tmp_path, monkeypatch):
    folder = tmp_path / 'images'
    folder.mkdir()
    shutil.copy(image, folder / 'a.jpg')
    cv2.imwrite(str(folder / 'a.png'), cv2.imread(str(image))[:40])
    (folder / 'a.json').write_text('mine')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    prediction = predictor.predict(folder / 'a.jpg')
    for place in (folder, folder / 'a.jpg'):
        with pytest.raises(ConfigError, match='would overwrite the image'):
            prediction.save(place)
    arguments = ['predict', str(folder), str(run.config), str(run.checkpoint), '--format', 'picture', 'labelme']
    monkeypatch.setattr(sys, 'argv', [*arguments, '--out', str(folder / '..' / 'images')])
    with pytest.raises(ConfigError, match='could overwrite the images'):
        command.main()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    sys.argv[-1] = str(tmp_path / 'out')
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'a.jpg', 'a.json', 'a_2.jpg', 'a_2.json'}
    assert [json.loads((tmp_path / 'out' / name).read_text())['imagePath'] for name in ('a.json', 'a_2.json')] == [
        'a.jpg',
        'a.png',
    ]
    sys.argv[-1] = str(folder / 'a.json')
    with pytest.raises(ConfigError, match='is a file'):
        command.main()


def test_arrays_and_tasks(predictor, run, image):
    array = cv2.imread(str(image))
    assert [s.rle for s in predictor.predict(array).segments] == [s.rle for s in predictor.predict(image).segments]
    semantic = load(run.config, run.checkpoint, task='semantic', device='cpu').predict(image)
    assert sum(segment.area for segment in semantic.segments) == np.prod(semantic.size)
    assert all(segment.score is None for segment in semantic.segments)
    with pytest.raises(ConfigError, match="not 'boxes'"):
        load(run.config, run.checkpoint, task='boxes')


def test_a_bad_file_is_reported_and_the_rest_is_done(predictor, run, tmp_path, caplog):
    folder = tmp_path / 'images'
    shutil.copytree(run.images, folder)
    (folder / '000001.jpg').write_bytes(b'no image')
    done = [prediction.name for prediction in predictor.stream(folder)]
    assert done == [path.name for path in sorted(folder.iterdir()) if path.name != '000001.jpg']
    [record] = caplog.records
    assert '000001.jpg' in record.getMessage() and 'cannot be decoded' in record.getMessage()


def test_a_training_is_found_in_its_folder(tmp_path):
    with pytest.raises(MissingFileError, match='has no config'):
        locate_run(tmp_path)
    (tmp_path / 'config.py').write_text('')
    with pytest.raises(MissingFileError, match='has no checkpoint'):
        locate_run(tmp_path)
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'iter_5.pth').write_text('')
    (tmp_path / 'train' / 'iter_4.pth').write_text('')
    odd = ['', '.', '..', '/moved/away', '/moved/away/iter_3.pth', 'ü'.encode('latin1')]
    for note in ('/moved/away/iter_5.pth\n', *odd):
        (tmp_path / 'train' / 'last_checkpoint').write_bytes(note if isinstance(note, bytes) else note.encode())
        assert locate_run(tmp_path) == (tmp_path / 'config.py', tmp_path / 'train' / 'iter_5.pth')
    (tmp_path / 'train' / 'last_checkpoint').write_text('/moved/away/iter_4.pth\n')
    assert locate_run(tmp_path)[1].name == 'iter_4.pth'
    (tmp_path / 'train' / 'best_PQ_iter_3.pth').write_text('')
    assert locate_run(tmp_path)[1].name == 'best_PQ_iter_3.pth'
    with pytest.raises(MissingFileError, match='needs a checkpoint'):
        load(tmp_path / 'config.py')
    checkpoint = tmp_path / 'train' / 'iter_5.pth'
    assert locate(checkpoint) == locate(tmp_path, checkpoint) == (tmp_path / 'config.py', checkpoint)
    (tmp_path / 'alone').mkdir()
    checkpoint = checkpoint.rename(tmp_path / 'alone' / 'iter_5.pth')
    with pytest.raises(MissingFileError, match="alone' has no config"):
        load(checkpoint)


def test_results_that_the_model_does_not_give(predictor, monkeypatch):
    monkeypatch.setattr(predictor, 'task', 'panoptic')
    with pytest.raises(UserError, match='no panoptic results, but instance ones'):
        predictor._task_of(dict(pred_instances=1))


@pytest.mark.parametrize('wrong, sentence', [(['a.jpg'], 'not list: stream'), (Path(), 'is a folder: stream')])
def test_what_is_no_image_is_refused_in_a_sentence(predictor, wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        predictor.predict(wrong)


def test_what_cannot_be_is_said_before_the_work(run, tmp_path, monkeypatch):
    monkeypatch.setattr('mask2former.predictions.loading.load', None)  # nothing is loaded
    monkeypatch.setattr(sys, 'argv', ['predict', str(tmp_path / 'absent.jpg'), 'run'])
    with pytest.raises(MissingFileError, match="no image or folder '.*absent.jpg'"):
        command.main()
    monkeypatch.undo()
    out = tmp_path / 'out'
    monkeypatch.setattr(sys, 'argv', ['predict', str(run.images), str(run.config), str(run.checkpoint)])
    sys.argv += ['--out', str(out), '--format', 'picture', 'panoptic', '--task', 'instance', '--device', 'cpu']
    with pytest.raises(ConfigError, match='or choose --task panoptic'):
        command.main()
    assert not out.exists()
    only = Config.fromfile(run.config)
    only.model.postprocessors = dict(instance=only.model.postprocessors.instance)
    with pytest.raises(ConfigError, match='no semantic results, but instance ones'):
        Predictor(only, run.checkpoint, task='semantic', device='cpu')


def test_files_for_label_studio_of_many_images(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['predict', str(run.images), str(run.config), str(run.checkpoint)])
    sys.argv += ['--out', str(tmp_path), '--format', 'label-studio', '--device', 'cpu']
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    tasks = json.loads((tmp_path / 'label_studio.json').read_text())
    assert [task['data']['image'] for task in tasks] == [f'00000{number}.jpg' for number in range(4)]
    assert ET.parse(tmp_path / 'label_studio.xml').find('BrushLabels') is not None
