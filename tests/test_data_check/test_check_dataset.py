"""The data doctor: every fault that is put into a sound data set is found, and the clean copy has none."""

import importlib.util
import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.data_check import Source, check_splits, write_clean_copy
from mask2former.data_check.inspect_image import read_ids, to_rle
from mask2former.datasets import CocoInstanceFormat, CocoPanopticFormat
from mask2former.datasets.shapes import generate_shapes

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'shapes' / 'mask2former_efficientnet-lite0_shapes-panoptic.py'


@pytest.fixture(scope='session')
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sound')
    generate_shapes(folder, num_train=8, num_val=3, size=(64, 96))
    return folder


@pytest.fixture
def data(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / 'shapes'))


def dataset(data, split, panoptic=True, ann_file=None, maps=None):
    kind = 'panoptic' if panoptic else 'instances'
    prefix = dict(img=f'{split}/', **(dict(seg=maps or f'annotations/panoptic_{split}/') if panoptic else {}))
    return (CocoPanopticFormat if panoptic else CocoInstanceFormat)(
        ann_file=ann_file or f'annotations/{kind}_{split}.json', data_root=str(data), data_prefix=prefix,
        lazy_init=True)


def check(data, panoptic=True, headers_only=False, splits=('train', 'val')):
    return check_splits([Source.of(split, dataset(data, split, panoptic)) for split in splits], headers_only, jobs=1)


def edit(data, change, kind='panoptic'):
    path = data / 'annotations' / f'{kind}_train.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def kinds(split):
    return Counter(problem.kind for problem in split.problems if problem.kind not in (
        'class without segment', 'looks like one of val'))


@pytest.mark.parametrize('panoptic', [True, False])
def test_sound_data_has_no_errors(sound, panoptic):
    report = check(sound, panoptic)
    assert report.num_errors == 0 and not kinds(report.splits[0]) and not report.same
    [split, _] = report.splits
    raw = json.loads(Path(split.source.ann_file).read_text())
    segments = [s for a in raw['annotations'] for s in (a['segments_info'] if panoptic else [a])]
    assert split.segments == Counter(s['category_id'] for s in segments)
    assert sorted(split.areas) == sorted(int(s['area']) for s in segments)
    if panoptic:
        assert set(split.voids.values()) == {0.0} and sum(split.pixels.values()) == 8 * 64 * 96


def file_of(data, place, folder='train'):
    return sorted((data / folder).iterdir())[place]


def test_faults_of_files_are_found(data):
    maps = 'annotations/panoptic_train'
    file_of(data, 0).unlink()
    file_of(data, 1).write_bytes(b'no image')
    truncated = file_of(data, 2)
    truncated.write_bytes(truncated.read_bytes()[:-200])
    Image.new('RGB', (10, 20)).save(file_of(data, 3))
    file_of(data, 4, maps).unlink()
    Image.new('RGB', (96, 60)).save(file_of(data, 5, maps))
    headers = kinds(check(data, headers_only=True).splits[0])
    assert headers == {'missing image': 1, 'corrupt image': 1, 'wrong size': 2, 'missing map': 1}
    full = kinds(check(data).splits[0])
    assert full['corrupt image'] == 2 and full['id not in PNG'] > 0 and full['missing map'] == 1


def test_faults_of_ids_areas_and_categories_are_found(data):
    def change(content):
        first, second, third, fourth, fifth = content['annotations'][:5]
        first['segments_info'].append(dict(first['segments_info'][0], id=99999))        # not in the PNG
        second['segments_info'].pop()                                                   # not in the JSON
        third['segments_info'][0]['area'] += 1
        third['segments_info'][1]['category_id'] = 12345
        fourth['segments_info'].append(dict(fourth['segments_info'][0]))
        fifth['segments_info'].append(dict(fifth['segments_info'][0], id=0, area=0))
        content['annotations'].append(dict(first, image_id=4711))
        content['annotations'].append(dict(first))
        content['images'].append(dict(content['images'][0]))
        content['images'].append(dict(id=5000, file_name='a.png'))
        content['annotations'].remove(content['annotations'][7])

    edit(data, change)
    [train, val] = check(data).splits
    found = kinds(train)
    assert found.pop('id not in PNG') >= 1
    assert found == {
        'id not in JSON': 1, 'wrong area': 1, 'unknown category': 1, 'segment id twice': 1, 'segment id 0': 1,
        'area 0': 1, 'no such image': 1, 'two annotations': 1, 'image id twice': 1, 'malformed entry': 1,
        'no annotation': 1}
    assert not kinds(val)
    assert max(train.voids.values()) > 0


def test_faults_of_instances_are_found(data):
    def change(content):
        first, second, third, fourth = content['annotations'][:4]
        first['segmentation'] = []
        second['segmentation'] = dict(size=[64, 96], counts=[64 * 96])
        third['segmentation'] = dict(size=[4, 4], counts=[4, 12])
        fourth['bbox'] = [90, 10, 30, 5]

    edit(data, change, 'instances')
    assert kinds(check(data, panoptic=False).splits[0]) == {
        'no segmentation': 1, 'empty mask': 1, 'wrong size': 1, 'box outside': 1}


def test_copies_in_val_are_found(data):
    shutil.copy(file_of(data, 0, 'val'), file_of(data, 6))
    picture = cv2.imread(str(file_of(data, 1, 'val')))
    picture = np.clip(picture.astype(int) + 3, 0, 255).astype(np.uint8)
    cv2.imwrite(str(file_of(data, 7)), picture)
    report = check(data)
    ids = {split: [image['id'] for image in json.loads(
        (data / 'annotations' / f'panoptic_{split}.json').read_text())['images']] for split in ('train', 'val')}
    assert (ids['train'][6], 'val', ids['val'][0], True) in report.same
    assert (ids['train'][7], 'val', ids['val'][1], False) in report.same
    assert len(report.same) == 2 and report.num_errors == 1


@pytest.mark.parametrize('panoptic', [True, False])
def test_the_clean_copy_is_clean(data, panoptic, tmp_path):
    file_of(data, 0).unlink()
    kind = 'panoptic' if panoptic else 'instances'

    def change(content):
        segments = content['annotations'][3]['segments_info'] if panoptic else content['annotations'][-3:]
        segments[0]['category_id'] = 12345
        segments[1]['area'] = 1
        if panoptic:
            content['annotations'][4]['segments_info'].pop()
            content['annotations'][5]['segments_info'].append(dict(segments[1], id=99999))

    edit(data, change, kind)
    report = check(data, panoptic)
    assert report.num_errors >= 2
    path, count = write_clean_copy(report.splits[0], tmp_path / 'clean')
    assert count == 7
    clean = Source.of('train', dataset(data, 'train', panoptic, str(path), str(path.with_suffix(''))))
    again = check_splits([clean], headers_only=False, jobs=1)
    assert again.num_errors == 0 and not kinds(again.splits[0])
    if not panoptic:
        annotations = json.loads(path.read_text())['annotations']
        assert [a['id'] for a in annotations] == list(range(1, len(annotations) + 1))
        for annotation in annotations:
            mask = mask_utils.decode(to_rle(annotation['segmentation'], 64, 96))
            assert annotation['area'] == mask.sum()
    else:  # what was right is as it was
        for annotation in json.loads(path.read_text())['annotations'][-1:]:
            name = annotation['file_name']
            np.testing.assert_array_equal(
                read_ids(str(path.with_suffix('') / name)),
                read_ids(str(data / 'annotations' / 'panoptic_train' / name)))
    with pytest.raises(ValueError, match='is the file that was checked'):
        write_clean_copy(report.splits[0], data / 'annotations')


def run_tool(monkeypatch, data, *arguments):
    spec = importlib.util.spec_from_file_location('check_dataset', ROOT / 'tools' / 'misc' / 'check_dataset.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = [f'{split}_dataloader.dataset.data_root={data}/' for split in ('train', 'val')]
    monkeypatch.setattr('sys.argv', ['check_dataset.py', str(CONFIG), '--jobs', '1', *map(str, arguments),
                                     '--cfg-options', *options])
    with pytest.raises(SystemExit) as caught:
        module.main()
    return caught.value.code


def test_the_tool_reports_and_tells_by_its_exit_code(data, tmp_path, monkeypatch, capsys):
    assert run_tool(monkeypatch, data, '--headers') == 0
    assert '0 errors.' in capsys.readouterr().out
    file_of(data, 0).unlink()
    edit(data, lambda content: content['categories'][0].update(name='<b>disc</b>'))
    assert run_tool(monkeypatch, data, '--html', tmp_path / 'page.html', '--fix', tmp_path / 'fixed') == 1
    text = capsys.readouterr().out
    assert 'missing image' in text and '1 errors.' in text and 'has 7 of 8 images' in text.replace('\n', ' ')
    page = (tmp_path / 'page.html').read_text()
    assert 'missing image' in page and page.count('<img') == 7 + 3
    assert '&lt;b&gt;disc' in page and '<b>disc' not in page


def test_real_data_has_no_errors(shared_data):
    root = shared_data / 'coco_panoptic_200'
    source = Source.of('val', CocoPanopticFormat(
        ann_file='annotations/panoptic_val2017.json', data_root=str(root), lazy_init=True,
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/')))
    [split] = check_splits([source], headers_only=False, jobs=1).splits
    assert not [problem for problem in split.problems if problem.is_error]
    assert 0 < np.mean(list(split.voids.values())) < 0.3 and split.crowds > 0
