import json

import mmdet.datasets
import pytest

from mask2former.datasets import CocoInstance, CocoPanoptic, dataset_metainfo
from mask2former.errors import DataError
from mask2former.formats.palette import make_palette
from mask2former.registry import DATASETS


def test_metainfo_from_the_file_in_its_order(two_images):
    info = dataset_metainfo(two_images.write())
    assert info['classes'] == ('cat', 'grass', 'dog')
    assert info['isthing'] == (True, False, True)
    assert info['category_ids'] == (7, 3, 9)
    assert info['palette'] == make_palette(3)
    built = DATASETS.build({**two_images.write(), 'lazy_init': True}).metainfo
    assert all(built[key] == info[key] for key in info)


def test_colours_of_the_file(two_images):
    for i, category in enumerate(two_images.content['categories']):
        category['color'] = [i, 20, 30]
    assert dataset_metainfo(two_images.write())['palette'] == [(0, 20, 30), (1, 20, 30), (2, 20, 30)]


def test_subset_in_another_order(two_images):
    info = dataset_metainfo({**two_images.write(), 'metainfo': dict(classes=['dog', 'cat'])})
    assert info['classes'] == ('dog', 'cat')
    assert info['category_ids'] == (9, 7) and info['isthing'] == (True, True)


def test_subset_of_a_known_data_set_reads_no_file():
    part = dict(classes=('grass-merged', 'cat'))
    info = dataset_metainfo(dict(type='CocoPanoptic', ann_file='absent.json', metainfo=part))
    assert info['isthing'] == (False, True)
    assert info['category_ids'] == (193, 17)
    full = CocoPanoptic.METAINFO['classes']
    assert info['palette'] == [CocoPanoptic.METAINFO['palette'][full.index(name)] for name in info['classes']]


def test_complete_metainfo_reads_no_file():
    given = dict(classes=('a', 'b'), isthing=(True, False), category_ids=(4, 5))
    info = dataset_metainfo(dict(type='CocoPanopticFormat', ann_file='absent.json', metainfo=given))
    assert info['palette'] == make_palette(2) and info['category_ids'] == (4, 5)
    # the class's own values must not shine through
    info = dataset_metainfo(dict(type='CocoPanoptic', ann_file='absent.json', metainfo=given))
    assert info['palette'] == make_palette(2) and info['classes'] == ('a', 'b')


def test_classes_from_a_text_file(two_images, tmp_path):
    (tmp_path / 'names.txt').write_text('dog\ngrass\n')
    info = dataset_metainfo({**two_images.write(), 'metainfo': dict(classes=str(tmp_path / 'names.txt'))})
    assert info['classes'] == ('dog', 'grass') and info['isthing'] == (True, False)


def test_isthing_of_metainfo_stands_in_for_the_files(two_images):
    for category in two_images.content['categories']:
        del category['isthing']
    cfg = two_images.write()
    with pytest.raises(DataError, match=r"'cat' \(id 7\) in .*panoptic.json.*add \"isthing\": 1"):
        dataset_metainfo(cfg)
    assert dataset_metainfo({**cfg, 'metainfo': dict(isthing=(1, 0, 1))})['isthing'] == (True, False, True)


def test_instances_are_things():
    info = dataset_metainfo(dict(type='CocoInstance', ann_file='absent.json'))
    assert info['isthing'] == (True,) * 80 and info['category_ids'][-1] == 90


def test_wrappers(two_images):
    leaf = two_images.write()
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=leaf)
    wrapped = dict(type='RepeatDataset', times=2, dataset=balanced)
    joined = dict(type='ConcatDataset', datasets=[wrapped, leaf])
    assert dataset_metainfo(joined) == dataset_metainfo(leaf)
    other = {**leaf, 'metainfo': dict(classes=('dog', 'grass'))}
    with pytest.raises(DataError, match='differ in their classes.*cat'):
        dataset_metainfo(dict(type='ConcatDataset', datasets=[leaf, other]))


def test_wrapped_data_sets_are_built(two_images):
    leaf = {**two_images.write(), 'filter_cfg': dict(filter_empty_gt=True)}
    assert len(DATASETS.build(dict(type='RepeatDataset', times=3, dataset=leaf))) == 3
    assert len(DATASETS.build(dict(type='ConcatDataset', datasets=[leaf, leaf]))) == 2
    assert len(DATASETS.build(dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=leaf))) >= 1


@pytest.mark.parametrize(
    'metainfo, message',
    [
        (dict(classes=('cat', 'gras')), r"'gras' .* not a category of '.*panoptic.json'; did you mean 'grass'"),
        (dict(classes=('cat', 'zzzzzz')), "'zzzzzz' .* it has 'cat', 'grass', 'dog'"),
        (dict(classes=('cat', 'cat')), 'more than once'),
        (dict(classes=()), 'sequence of names'),
        (dict(palette=[(1, 2, 3)]), '1 palette for the 3 classes'),
    ],
)
def test_wrong_metainfo(two_images, metainfo, message):
    with pytest.raises(DataError, match=message):
        dataset_metainfo({**two_images.write(), 'metainfo': metainfo})


def test_wrong_files_and_types(tmp_path):
    cfg = dict(type='CocoPanopticFormat', data_root=str(tmp_path), ann_file='a.json')
    with pytest.raises(FileNotFoundError, match='a.json.*check data_root and ann_file'):
        dataset_metainfo(cfg)
    for text, message in (
        ('{', 'not valid JSON'),
        ('[]', 'holds a list'),
        ('{}', "no 'categories'"),
        (json.dumps(dict(categories=[dict(id=1)])), "needs an 'id' and a 'name'"),
    ):
        (tmp_path / 'a.json').write_text(text)
        with pytest.raises(DataError, match=message):
            dataset_metainfo(cfg)
    with pytest.raises(DataError, match="'CocoPanopticFromat' is not registered; did you mean 'CocoPanopticFormat'"):
        dataset_metainfo({**cfg, 'type': 'CocoPanopticFromat'})


def test_third_party_data_set_must_say_what_is_a_thing():
    cfg = dict(type='mmdet.VOCDataset', ann_file='ImageSets/train.txt')
    with pytest.raises(DataError, match=r"'VOCDataset' lacks isthing, category_ids; give metainfo=dict\(isthing="):
        dataset_metainfo(cfg)
    metainfo = dict(isthing=(True,) * 20, category_ids=range(20))
    info = dataset_metainfo({**cfg, 'metainfo': {**metainfo, 'classes': [f'c{i}' for i in range(20)]}})
    assert info['classes'] == tuple(f'c{i}' for i in range(20))
    # Its own METAINFO has the names and colours: what the message asks for is enough.
    info = dataset_metainfo({**cfg, 'metainfo': metainfo})
    theirs = mmdet.datasets.VOCDataset.METAINFO
    assert (info['classes'], info['palette']) == (theirs['classes'], theirs['palette'])


def test_known_tables_agree_with_the_real_files(shared_data):
    for cls, name in ((CocoPanoptic, 'panoptic_val2017'), (CocoInstance, 'instances_train2017')):
        categories = json.loads((shared_data / f'coco_panoptic_200/annotations/{name}.json').read_text())['categories']
        info = cls.METAINFO
        assert info['classes'] == tuple(c['name'] for c in categories)
        assert info['category_ids'] == tuple(c['id'] for c in categories)
        assert info['isthing'] == tuple(bool(c.get('isthing', 1)) for c in categories)
        assert len(info['palette']) == len(set(info['palette'])) == len(categories)
