"""Data sets of videos: classes, items, and what is left out."""

import json

import mmdet.datasets
import pytest

from mask2former.datasets import OVIS, YouTubeVIS2019, YouTubeVIS2021, YouTubeVISFormat, config_metainfo
from mask2former.errors import DataError
from tests.test_formats.test_video_json import POLYGON, RLE, youtube_vis


@pytest.fixture
def write(tmp_path):
    def make(content, cls=YouTubeVISFormat, **options):
        (tmp_path / 'train.json').write_text(json.dumps(content))
        return cls(ann_file='train.json', data_root=str(tmp_path), data_prefix=dict(img='JPEGImages'), **options)

    return make


@pytest.mark.parametrize('cls, version, num', [(YouTubeVIS2019, '2019', 40), (YouTubeVIS2021, '2021', 40)])
def test_classes_equal_mmdet_s(cls, version, num):
    theirs = mmdet.datasets.YouTubeVISDataset(dataset_version=version, ann_file='', lazy_init=True).metainfo['classes']
    assert cls.METAINFO['classes'] == tuple(theirs) and len(theirs) == num
    assert cls.METAINFO['category_ids'] == tuple(range(1, num + 1)) and all(cls.METAINFO['isthing'])


def test_classes_of_ovis():
    info = config_metainfo(dict(test_dataloader=dict(dataset=dict(type='OVIS', ann_file='absent'))))
    assert len(info['classes']) == len(set(info['classes'])) == 25 and all(info['isthing'])
    assert info['category_ids'] == tuple(range(1, 26)) and info['classes'][-1] == 'Vehical'


def test_items(write, tmp_path):
    dataset = write(youtube_vis())
    assert dataset.metainfo['classes'] == ('cat', 'dog') and dataset.metainfo['category_ids'] == (2, 5)
    assert dataset.metainfo['isthing'] == (True, True) and len(dataset) == 2
    video = dataset[0]
    assert (video['video_id'], video['height'], video['width']) == (7, 4, 6)
    assert video['frames'] == [str(tmp_path / 'JPEGImages' / f'a/{i}.jpg') for i in range(3)]
    assert video['labelled_frames'] == [0, 1, 2]
    assert [(i['label'], i['iscrowd']) for i in video['instances']] == [(0, 0), (1, 0)]
    assert video['instances'][0]['segmentations'] == [RLE, None, POLYGON]
    assert dataset.get_cat_ids(0) == [0, 1] and dataset.get_cat_ids(1) == []


def test_chosen_classes_and_filter(write):
    dataset = write(youtube_vis(), metainfo=dict(classes=('dog',)), filter_cfg=dict(filter_empty_gt=True))
    assert len(dataset) == 1 and dataset.get_cat_ids(0) == [0]  # video 3 has a crowd only
    dataset = write(youtube_vis(), metainfo=dict(classes=('dog', 'cat')))
    assert dataset.get_cat_ids(0) == [1, 0]
    with pytest.raises(DataError, match="No video of .*train.json' has a track"):
        content = youtube_vis()
        write(dict(content, annotations=content['annotations'][2:]), filter_cfg=dict(filter_empty_gt=True))


def test_unlabelled_frames_are_no_empty_frames_by_option(write):
    content = youtube_vis()
    content['annotations'][1]['segmentations'] = [None] * 3  # nothing in the middle frame
    assert write(content)[0]['labelled_frames'] == [0, 1, 2]
    dataset = write(content, skip_unlabelled=True)
    assert dataset[0]['labelled_frames'] == [0, 2]
    # What is labelled does not hang on the classes that are chosen.
    assert write(content, skip_unlabelled=True, metainfo=dict(classes=('dog',)))[0]['labelled_frames'] == [0, 2]
    content['annotations'] = content['annotations'][:2]
    assert len(write(content, skip_unlabelled=True)) == 1, 'a video without a labelled frame'
    assert len(write(content, skip_unlabelled=True, test_mode=True)) == 2


@pytest.mark.parametrize('content', [dict(youtube_vis(), annotations=None), {**youtube_vis(), 'annotations': None}])
def test_a_test_split_has_no_annotations(write, content):
    dataset = write(content, test_mode=True)
    assert len(dataset) == 2 and dataset[0]['instances'] == []
    with pytest.raises(DataError, match="no 'annotations'.*test_mode"):
        write(content)


def test_wrong_files_are_named(write):
    content = youtube_vis()
    content['annotations'][0]['category_id'] = 9
    with pytest.raises(DataError, match='category_id 9'):
        write(content)
    with pytest.raises(DataError, match="Category 2 .* is 'cat', but OVIS has 'Bird' there.*YouTubeVISFormat"):
        write(youtube_vis(), OVIS)
    with pytest.raises(DataError, match="no data_prefix 'image'"):
        YouTubeVISFormat(data_prefix=dict(image='x'))
