"""Videos with PNG files of ids: what is written is what YouTubeVISFormat reads, pixel by pixel."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.datasets import YouTubeVISFormat
from mask2former.errors import DataError, MissingFileError
from mask2former.formats.images import write_image
from tests.tools import load_tool

SIZE = (20, 32)


def write_png(path, ids, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    if palette:
        image = Image.fromarray(ids.astype(np.uint8), mode='P')
        image.putpalette(list(range(256)) * 3)
    else:
        image = Image.fromarray(ids.astype(np.uint16 if ids.max() > 255 else np.uint8))
    image.save(path)


def write_videos(root, values, palette=False):
    """Three videos of 3 frames; object 0 of ``values`` is in all, 1 in the first two, and 2 is void."""
    truth = {}
    for v in range(3):
        for t in range(3):
            frame = root / 'frames' / f'set/video{v}' / f'{t:05d}.jpg'
            write_image(frame, np.full((*SIZE, 3), 40 * v + t, np.uint8))
            ids = np.zeros(SIZE, np.int64)
            ids[2:8, 3 + t : 12 + t] = values[0]
            if t < 2:
                ids[10:15, 3:9] = values[1]
            ids[16:, 20:] = values[2]
            truth[v, t] = ids
            if (v, t) != (1, 2):
                write_png(root / 'masks' / f'set/video{v}' / f'{t:05d}.png', ids, palette)
    return truth


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    def call(*words):
        tool = load_tool('dataset_converters/pngs_to_youtube_vis')
        paths = [tmp_path / 'frames', tmp_path / 'masks', tmp_path / 'out']
        monkeypatch.setattr(sys, 'argv', ['pngs_to_youtube_vis.py', *map(str, paths), '--jobs', '1', *words])
        tool.main()
        return capsys.readouterr().out

    return call


def test_frames_are_in_the_order_of_their_numbers(convert, tmp_path):
    for place in (0, 1, 2, 10, 11):
        write_image(tmp_path / 'frames' / 'v' / f'frame{place}.jpg', np.full((*SIZE, 3), place, np.uint8))
        write_png(tmp_path / 'masks' / 'v' / f'frame{place}.png', np.full(SIZE, 1))
    convert('--thing', 'dog', '--split', 'train')
    [video] = json.loads((tmp_path / 'out' / 'train.json').read_text())['videos']
    assert video['file_names'] == [f'v/frame{place}.jpg' for place in (0, 1, 2, 10, 11)]


def check(tmp_path, truth, split, values, labels):
    dataset = YouTubeVISFormat(
        ann_file=f'{split}.json', data_root=str(tmp_path / 'out'), data_prefix=dict(img=f'{split}/JPEGImages')
    )
    for video in dataset:
        v = int(video['frames'][0].split('video')[1][0])
        assert [track['label'] for track in video['instances']] == labels
        for value, track in zip(values, video['instances']):
            for t, rle in enumerate(track['segmentations']):
                expected = truth[v, t] == value
                if (v, t) == (1, 2) or not expected.any():
                    assert rle is None
                else:
                    assert np.array_equal(mask_utils.decode(rle), expected)
        for t, path in enumerate(video['frames']):
            assert abs(int(np.asarray(Image.open(path))[0, 0, 0]) - 40 * v - t) <= 2
    return dataset


def test_davis(tmp_path, convert):
    truth = write_videos(tmp_path, (1, 2, 255), palette=True)
    out = convert('--thing', 'object', '--void', '255', '--val-share', '0.34')
    assert 'train.json: 2 videos, 1 classes, 4 tracks.' in out and 'val.json: 1 videos' in out
    assert '1 frames have no PNG' in out and 'skip_unlabelled=True' in out
    for split, count in (('train', 2), ('val', 1)):
        assert len(check(tmp_path, truth, split, (1, 2), [0, 0])) == count
    files = [json.loads((tmp_path / 'out' / f'{split}.json').read_text()) for split in ('train', 'val')]
    names = [video['file_names'][0] for content in files for video in content['videos']]
    assert sorted(names) == [f'set/video{v}/00000.jpg' for v in range(3)]


def test_mots(tmp_path, convert):
    truth = write_videos(tmp_path, (1003, 2001, 10000))
    convert(
        '--divisor', '1000', '--classes', '1=car:thing', '2=pedestrian:thing', '--void', '10000', '--split', 'train'
    )
    dataset = check(tmp_path, truth, 'train', (1003, 2001), [0, 1])
    assert dataset.metainfo['classes'] == ('car', 'pedestrian') and len(dataset) == 3
    track = json.loads((tmp_path / 'out' / 'train.json').read_text())['annotations'][0]
    assert track['areas'] == [54, 54, 54] and track['bboxes'][1] == [4, 2, 9, 6]


def test_a_list_of_videos_validates(tmp_path, convert):
    write_videos(tmp_path, (1, 2, 255))
    (tmp_path / 'val.txt').write_text('set/video2\n')
    convert('--thing', 'object', '--val-list', str(tmp_path / 'val.txt'))
    [video] = json.loads((tmp_path / 'out' / 'val.json').read_text())['videos']
    assert video['file_names'][0] == 'set/video2/00000.jpg'
    (tmp_path / 'val.txt').write_text('video9\n')
    with pytest.raises(DataError, match="'video9' .*none of the images or videos"):
        convert('--thing', 'object', '--val-list', str(tmp_path / 'val.txt'))


def test_what_is_wrong_is_named(tmp_path, convert, capsys):
    write_videos(tmp_path, (1003, 2001, 10000))
    mots = ['--divisor', '1000', '--classes', '1=car:thing', '--split', 'train']
    with pytest.raises(DataError, match='00000.png.*value 2001, whose class 2 is none of --classes.*--void'):
        convert(*mots)
    png = tmp_path / 'masks' / 'set/video0/00001.png'
    write_png(png, np.zeros((5, 6), np.int64))
    with pytest.raises(DataError, match='00001.png.*5 x 6.*00001.jpg.*20 x 32'):
        convert('--thing', 'x')
    png.write_bytes(b'no image')
    with pytest.raises(DataError, match='00001.png'):
        convert('--thing', 'x')
    png.unlink()
    write_image(tmp_path / 'frames' / 'set/video1/00001.jpg', np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(DataError, match='00001.jpg.*10 x 10.*one size'):
        convert('--thing', 'x')
    write_image(tmp_path / 'frames' / 'other/00000.jpg', np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(MissingFileError, match="No frame of '.*other' has a PNG"):
        convert('--thing', 'x')
    assert not list((tmp_path / 'out').glob('*.json')), 'JSON files of an incomplete conversion'
    for words in (['--divisor', '1000'], ['--thing', 'x', '--classes', '1=y:thing'], []):
        with pytest.raises(SystemExit):
            convert(*words)
