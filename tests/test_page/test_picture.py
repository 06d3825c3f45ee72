"""What the page shows: outlines that are the masks, names that cannot be markup; and the files that it gives."""

import io
import json
import re
import zipfile
from contextlib import redirect_stdout
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mask2former.errors import UserError
from mask2former.formats.rle import encode_mask
from mask2former.page.downloads import FORMATS, make
from mask2former.page.picture import outline, percent, show


def filled(path, size, scale=8):
    """The mask that an SVG path encloses, by OpenCV at a finer raster: pixels whose middle lies inside."""
    rings = [np.array(re.findall(r'[\d.]+', part), float).reshape(-1, 2) for part in path.split('M')[1:]]
    canvas = np.zeros((size[0] * scale, size[1] * scale), np.uint8)
    cv2.fillPoly(canvas, [np.round(ring * scale).astype(np.int32) for ring in rings], 1)  # evenodd
    return canvas[scale // 2 :: scale, scale // 2 :: scale].astype(bool)


def test_outlines_are_the_masks():
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = cv2.GaussianBlur(rng.random((60, 90)).astype(np.float32), (0, 0), 3) > 0.5
        mask[20:30, 20:30], mask[24:26, 24:26] = True, False  # with a hole
        again = filled(outline(mask), mask.shape)
        edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(bool)
        assert np.array_equal(again[~edge], mask[~edge])
        assert (again != mask).mean() < 0.01
    one = np.zeros((5, 7), bool)
    one[2, 3] = True
    numbers = np.array(re.findall(r'[\d.]+', outline(one)), float).reshape(-1, 2)
    assert np.allclose(numbers.min(0), (3, 2), atol=0.3) and np.allclose(numbers.max(0), (4, 3), atol=0.3)
    assert outline(np.zeros((5, 7), bool)) == ''


def test_outlines_of_large_masks_are_in_their_own_pixels():
    mask = np.zeros((100, 4000), bool)
    mask[20:80, 1000:3000] = True
    numbers = np.array(re.findall(r'[\d.]+', outline(mask)), float).reshape(-1, 2)
    assert np.allclose(numbers.min(0), (1000, 20), atol=3) and np.allclose(numbers.max(0), (3000, 80), atol=3)


@pytest.mark.parametrize(
    'share, text', [(1, '100 %'), (0.0996, '10 %'), (0.0123, '1.2 %'), (0.001, '0.1 %'), (0.00001, '< 0.1 %')]
)
def test_shares(share, text):
    assert percent(share) == text


def test_the_table_has_every_segment_and_no_markup_of_names(model, found):
    for task in model.studio.tasks:
        segments = found.of_task(task, 0.0)
        assert segments
        html = show(model.studio, found, task, segments)
        assert [int(number) for number in re.findall(r'data-row="(\d+)"', html)] == [s.id for s in segments]
        assert sorted(map(int, re.findall(r'<path[^>]* data-id="(\d+)"', html))) == sorted(s.id for s in segments)
    evil = '<script>"\'&'
    html = show(model.studio, found, task, [replace(segments[0], label=evil)])
    assert evil not in html and '<script' not in html and '&lt;script' in html
    html = show(model.studio, replace(found, name=evil), task, [])
    assert '<script' not in html and 'Nothing was found' in html


def test_thresholds(model, photo, found):
    before = model.studio.thresholds
    scores = sorted(s.score for s in found.segments['instance'])
    assert len(found.of_task('instance', scores[3])) == len(scores) - 3
    assert len(found.of_task('panoptic', 1.0)) == len(found.segments['panoptic']) > 0
    assert model.studio.find(photo, (1.0, 0.0)).segments['panoptic'] == ()
    assert model.studio.thresholds == before


def file_of(model, found, format, task='panoptic', off=(), alpha=0.5):
    return make(format, model.studio, found, task, found.of_task(task, 0.0), off, alpha)


def test_files_hold_what_is_switched_on(model, found):
    segments = found.segments['panoptic']
    off = [segments[0].id]
    kept = {s.id: s for s in segments[1:]}
    content = json.loads(file_of(model, found, 'COCO (JSON)', off=off).content)
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
    assert set(coco.anns) == set(kept) and coco.imgs[1]['file_name'] == '000000.jpg'
    for annotation in coco.anns.values():
        assert np.array_equal(coco.annToMask(annotation).astype(bool), kept[annotation['id']].mask)
    with zipfile.ZipFile(io.BytesIO(file_of(model, found, 'Label Studio', off=off).content)) as archive:
        [task] = json.loads(archive.read('tasks.json'))
        view = ElementTree.fromstring(archive.read('labelling_interface.xml'))
    assert len(task['predictions'][0]['result']) == len(kept)
    assert task['data']['image'].startswith('data:image/jpeg;base64,')
    assert [label.get('value') for label in view.iter('Label')] == list(model.studio.predictor.classes)
    xml = ElementTree.fromstring(file_of(model, found, 'CVAT (XML)', off=off).content)
    assert len(xml.findall('image/mask')) == len(kept)
    ids = np.asarray(Image.open(io.BytesIO(file_of(model, found, 'Map of ids (PNG)', off=off).content)))
    assert set(np.unique(ids[..., 0])) - {0} == set(kept)
    labelme = json.loads(file_of(model, found, 'LabelMe (JSON)', off=off).content)
    assert {shape['group_id'] for shape in labelme['shapes']} <= set(kept)


def test_the_picture_has_the_colours_of_the_page_at_the_opacity(model, found):
    html = show(model.studio, found, 'panoptic', found.of_task('panoptic', 0.0))
    largest = max(found.segments['panoptic'], key=lambda s: s.area)
    color = re.search(rf'data-id="{largest.id}"[^>]*fill="#(\w+)"', html)[1]
    opaque = np.asarray(Image.open(io.BytesIO(file_of(model, found, 'Picture (PNG)', alpha=1.0).content)))
    mask = cv2.resize(largest.mask.astype(np.uint8), opaque.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    shown = (opaque == np.array(bytearray.fromhex(color))).all(-1)
    assert shown[mask].mean() > 0.5 and shown[~mask].mean() < 0.05
    # With all of it switched off the picture is the photo.
    off = [s.id for s in found.segments['panoptic']]
    plain = np.asarray(Image.open(io.BytesIO(file_of(model, found, 'Picture (PNG)', off=off).content)))
    photo = np.asarray(Image.open(io.BytesIO(found.jpeg)).resize(plain.shape[1::-1]))
    assert np.abs(plain.astype(int) - photo).mean() < 6


def test_instances_are_no_map_and_formats_are_known(model, found):
    with pytest.raises(UserError, match='overlap'):
        file_of(model, found, 'Map of ids (PNG)', task='instance')
    with pytest.raises(UserError, match='no such format'):
        file_of(model, found, '../x')
    for format in FORMATS:
        if format != 'Map of ids (PNG)':
            assert file_of(model, found, format, task='instance').content


def test_overlapping_instances_of_a_picture(model, found):
    mask = np.zeros(found.size, bool)
    mask[:9, :9] = True
    segment = replace(found.segments['instance'][0], rle=encode_mask(mask))
    assert coco_mask.area(segment.rle) == 81
    both = replace(found, segments=dict(instance=(segment, replace(segment, id=segment.id + 100))))
    assert make('Picture (PNG)', model.studio, both, 'instance', list(both.segments['instance']), [], 0.5).content
