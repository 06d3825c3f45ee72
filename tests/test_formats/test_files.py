"""What is written is read back by panopticapi and pycocotools; an interrupted write leaves what was there."""

import json
import math
import os

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mask2former.errors import DataError
from mask2former.formats import files
from mask2former.formats.panoptic_png import (
    ids_near_colors,
    read_id_map,
    read_id_map_strictly,
    segments_of,
    write_id_map,
)
from mask2former.formats.rle import from_segmentation, instances_of


def test_id_map_is_panopticapis(tmp_path):
    utils = pytest.importorskip('panopticapi.utils')
    id_map = np.array([[0, 255, 256], [65535, 65536, 2**24 - 1]])
    write_id_map(tmp_path / 'new' / 'map.png', id_map)
    read = cv2.imread(str(tmp_path / 'new' / 'map.png'))[..., ::-1]
    assert (utils.rgb2id(read) == id_map).all()
    assert (read == utils.id2rgb(id_map)).all()
    for reader in (read_id_map, read_id_map_strictly):
        assert (reader(tmp_path / 'new' / 'map.png') == id_map).all()


def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError('no space')

    files.write_text(tmp_path / 'b.json', 'old')
    monkeypatch.setattr(files.Path, 'replace', full)
    for name in ('a.json', 'b.json'):
        with pytest.raises(OSError, match='no space'):
            files.write_json(tmp_path / name, {})
    assert [path.name for path in tmp_path.iterdir()] == ['b.json']
    assert (tmp_path / 'b.json').read_text() == 'old'


@pytest.mark.parametrize('copy', [False, True])
def test_links_are_made_again_without_harm(tmp_path, copy):
    source, target = tmp_path / 'a', tmp_path / 'new' / 'b'
    source.write_text('content')
    for _ in range(2):
        files.link_or_copy(source, target, copy)
        assert target.read_text() == 'content' and target.samefile(source) != copy
        assert len(list(target.parent.iterdir())) == 1
    files.link_or_copy(source, source, copy)
    assert source.read_text() == 'content'


@pytest.mark.parametrize('with_links', [True, False])
def test_link_or_copy(tmp_path, monkeypatch, with_links):
    if not with_links:
        monkeypatch.setattr(files.os, 'link', lambda *_: (_ for _ in ()).throw(OSError('no links here')))
    source, target = tmp_path / 'a.jpg', tmp_path / 'new' / 'b.jpg'
    for content in (b'one', b'one', b'two'):  # again, and after the source has changed
        source.unlink(missing_ok=True)
        source.write_bytes(content)
        for _ in range(2):
            files.link_or_copy(source, target)
            assert target.read_bytes() == content and target.samefile(source) == with_links
    (tmp_path / 'link.jpg').symlink_to(source)
    for copy in (False, True):
        files.link_or_copy(tmp_path / 'link.jpg', target, copy)
        assert not target.is_symlink() and target.samefile(source) == (with_links and not copy)
    assert [path.name for path in target.parent.iterdir()] == ['b.jpg']


def test_ids_near_colors_differ_and_are_near():
    ids = ids_near_colors([(10, 20, 30)] * 50 + [(0, 0, 0)], np.random.default_rng(0))
    assert ids[0] == 10 + 20 * 256 + 30 * 65536
    assert len(set(ids)) == 51 and 0 not in ids
    colors = np.array([[i & 255, i >> 8 & 255, i >> 16] for i in ids[:50]])
    assert np.abs(colors - (10, 20, 30)).max() <= 24


@pytest.mark.parametrize(
    'segmentation', [[[0, 0, 4, 0, 4, 3, 0, 3], [1, 1, 2, 2]], dict(size=[5, 6], counts=[3, 4, 23])]
)
def test_every_form_of_segmentation_becomes_rle(segmentation):
    expected = mask_utils.frPyObjects(segmentation[:1] if isinstance(segmentation, list) else segmentation, 5, 6)
    expected = mask_utils.merge(expected) if isinstance(expected, list) else expected
    rle = from_segmentation(segmentation, 5, 6)
    assert rle == expected == from_segmentation(rle, 5, 6)


def test_segments_equal_pycocotools():
    rng = np.random.default_rng(0)
    id_map = np.kron(rng.integers(0, 4, (5, 7)), np.ones((3, 2), int)) * 1000
    infos = segments_of(id_map, {1000: 7, 2000: 8, 3000: 7}, crowd=[2000])
    assert [info['id'] for info in infos] == [1000, 2000, 3000]
    for info in infos:
        rle = mask_utils.encode(np.asfortranarray(id_map == info['id'], dtype=np.uint8))
        assert info['area'] == mask_utils.area(rle)
        assert info['bbox'] == mask_utils.toBbox(rle).tolist()
        assert info['iscrowd'] == (info['id'] == 2000)
        assert info['category_id'] == (8 if info['id'] == 2000 else 7)


def test_instances_leave_out_empty_masks():
    masks = np.zeros((2, 4, 5), bool)
    masks[1, 1:3, 2:4] = True
    [instance] = instances_of(masks, [3, 4])
    assert (instance['category_id'], instance['area'], instance['bbox']) == (4, 4, [2, 1, 2, 2])
    assert (mask_utils.decode(instance['segmentation']) == masks[1]).all()
    assert instances_of(masks[:0], []) == []


def test_more_instances_than_a_byte_counts():
    masks = np.zeros((300, 4, 5), bool)
    masks[:, 1:3, 2:4] = True
    assert [instance['area'] for instance in instances_of(masks, [3] * 300)] == [4] * 300


@pytest.mark.parametrize('root', ['data', '/data', ''])
def test_files_are_read_below_the_folder_or_the_root(root):
    folder = f'{root}/img' if root else 'img'
    for name in ('a.jpg', 'b/c.jpg', './a.jpg', 'at 12:30.jpg'):
        assert files.file_below(folder, name, root) == f'{folder}/{name}'
    below = os.path.abspath(folder)
    for name, path in (
        (f'{below}/a.jpg', f'{below}/a.jpg'),
        ('b/../a.jpg', f'{folder}/a.jpg'),
        ('C:a', f'{folder}/C:a'),
        *([('../a.jpg', f'{root}/a.jpg')] if root else []),
    ):
        assert files.file_below(folder, name, root) == path
    around = os.path.dirname(os.path.abspath(root or 'img'))
    for name in (
        '../../a',
        '/a',
        '../..',
        f'{around}/a',
        f'{below}/../../../a',
        f'{around}/datas/a',
        'http://a/b',
        'a\0',
    ):
        with pytest.raises(DataError, match='leads out of the folder'):
            files.file_below(folder, name, root)


def test_names_from_files_stay_inside(tmp_path):
    for name in ('a.jpg', 'b/c.jpg', 'at 12:30.jpg', '..a.jpg', './a.jpg'):
        assert files.inside(tmp_path, name) == tmp_path / name
    for name in (
        '../a',
        'b/../../a',
        '/a',
        '\\a',
        '..\\a',
        'b\\..\\a',
        'C:\\a',
        'C:a',
        '//server/share/a',
        'a\0',
        'http://a/b',
        '',
        '.',
    ):
        with pytest.raises(DataError, match='is no path below the folder .*; correct it in the file that gives it'):
            files.inside(tmp_path, name)


@pytest.mark.parametrize('fast', [True, False])
def test_json_is_the_same_by_either_reader(fast, monkeypatch):
    if fast:
        pytest.importorskip('orjson')
    monkeypatch.setattr(files, 'LARGE', 0 if fast else 2**24)
    content = dict(images=[dict(id=2**53 + 1, file_name='ä/😀.jpg', scale=0.1 + 0.2)], empty=[None, True, {}, ''])
    assert files.parse_json(json.dumps(content).encode()) == content
    assert files.parse_json(json.dumps(content, ensure_ascii=False).encode()) == content
    [value] = files.parse_json(b'[NaN]')
    assert math.isnan(value)
    for broken in (b'{"a": 1,}', b'{"a"', b'', b'{"a": "\xff"}', b'\xef\xbb\xbf{}'):
        with pytest.raises(ValueError, match='.'):
            files.parse_json(broken)
    assert type(files.parse_json(b'[18446744073709551616]')[0]) is (float if fast else int)
    with pytest.raises(RecursionError):
        files.parse_json(b'[' * 100_000 + b']' * 100_000)
