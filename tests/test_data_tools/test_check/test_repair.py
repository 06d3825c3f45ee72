"""The clean copy: it has no error on a second run, the data set reads it, and what was right is as it was."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.data_tools.check import Settings, check_splits, read_split, write_clean_copy
from mask2former.datasets.transforms import LoadImage, LoadInstanceSegments, LoadPanopticSegments, LoadSemanticSegments
from mask2former.formats.panoptic_png import read_id_map_strictly
from mask2former.formats.rle import from_segmentation

from .conftest import NUM_TRAIN, SIZE, kinds

LOADERS = dict(panoptic=LoadPanopticSegments, instance=LoadInstanceSegments, semantic=LoadSemanticSegments)


def spoil(data):
    """Plant faults of all formats; images 1 and 2 cannot be saved."""
    data.image(0).write_bytes(b'no image')
    Image.new('RGB', (10, 20)).save(data.image(1))

    def change_panoptic(content):
        segments = [annotation['segments_info'] for annotation in content['annotations']]
        segments[2][0]['category_id'] = 12345
        segments[2][1]['area'] = 1
        segments[3].pop()
        segments[4].append(dict(segments[4][0], id=99999))
        segments[5].append(dict(segments[5][0]))
        segments[6][0]['bbox'] = [90, 1, 70, 1]
        segments[6].append(dict(segments[6][0], id=0))
        segments[7].append('no segment')
        content['annotations'].append(dict(content['annotations'][2], image_id=4711))
        content['categories'].append(dict(content['categories'][0]))

    def change_instances(content):
        rows = [row for row in content['annotations'] if row['image_id'] > 2]
        rows[0]['category_id'] = 12345
        rows[1]['area'] += 5
        rows[2]['bbox'] = [90, 1, 70, 1]
        rows[3]['segmentation'] = dict(size=[4, 4], counts=[4, 12])
        rows[4]['segmentation'] = []
        rows[5]['segmentation'] = dict(size=list(SIZE), counts='0')
        rows[6]['segmentation'] = [[5, 5, 15, 5, 15, 15, 5, 15], [1, 1, 2, 2]]
        rows[7]['segmentation'] = [[1, 1, 1, 1, 1, 1]]

    data.edit(change_panoptic)
    data.edit(change_instances, 'instances')
    data.paint(2, 77, 40)
    data.paint(3, 254, 2)


def check_copy(data, form, settings, **changes):
    given = dict(ann_file=settings['ann_file'], **changes)
    if form != 'instance':
        given['seg'] = settings['data_prefix.seg']
    [split] = check_splits(
        [read_split(data.dataset(form, **given), Settings('train'))], headers_only=False, jobs=2
    ).splits
    return split, data.dataset(form, lazy_init=False, **given)


@pytest.mark.parametrize('form', list(LOADERS))
def test_the_clean_copy_is_clean_and_is_read(data, form, tmp_path):
    spoil(data)
    [before] = data.check(form, splits=('train',)).splits
    assert sum(problem.is_error for problem in before.problems) >= 4
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    after, dataset = check_copy(data, form, settings)
    assert not kinds(after)
    assert count == len(after.source.entries) == len(dataset) == NUM_TRAIN - 2
    for index in range(len(dataset)):
        results = LOADERS[form]().transform(LoadImage().transform(dataset.get_data_info(index)))
        assert len(results['gt_seg_labels']) and results['gt_seg_map'].any()


@pytest.mark.parametrize(
    'kind, spoil_one',
    [
        ('missing map', lambda data: data.class_map(3).unlink()),
        ('corrupt map', lambda data: data.class_map(3).write_bytes(b'no image')),
        ('no class ids', lambda data: Image.new('RGB', (96, 64)).save(data.class_map(3))),
        ('lossy map', lambda data: Image.open(data.class_map(3)).save(data.class_map(3), format='JPEG')),
        ('wrong size', lambda data: Image.new('L', (95, 64), 1).save(data.class_map(3))),
        ('in another split', lambda data: data.image(3).write_bytes(data.image(0, 'val').read_bytes())),
    ],
)
def test_images_that_cannot_be_saved_are_left_out(data, tmp_path, kind, spoil_one):
    spoil_one(data)
    before = data.check('semantic').splits[0]
    assert kind in kinds(before)
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    assert count == NUM_TRAIN - 1 and data.image(3).name not in Path(settings['ann_file']).read_text()
    assert not kinds(check_copy(data, 'semantic', settings)[0])


def test_what_was_right_stays(data, tmp_path):
    spoil(data)
    [before] = data.check('panoptic', splits=('train',)).splits
    settings, _ = write_clean_copy(before, tmp_path / 'clean')
    content = json.loads(Path(settings['ann_file']).read_text())
    maps = Path(settings['data_prefix.seg'])
    annotations = {annotation['image_id']: annotation for annotation in content['annotations']}
    old = {annotation['image_id']: annotation for annotation in before.source.raw['annotations']}
    assert annotations[8]['segments_info'] == old[8]['segments_info'][:-1]
    np.testing.assert_array_equal(
        read_id_map_strictly(str(maps / annotations[8]['file_name'])), read_id_map_strictly(str(data.panoptic_map(7)))
    )
    ids = read_id_map_strictly(data.panoptic_map(2))
    cleaned = read_id_map_strictly(maps / annotations[3]['file_name'])
    removed = old[3]['segments_info'][0]['id']
    np.testing.assert_array_equal(cleaned, np.where(ids == removed, 0, ids))
    assert len(content['categories']) == len(before.source.raw['categories']) - 1


def test_areas_and_boxes_of_instances_are_those_of_the_masks(data, tmp_path):
    spoil(data)
    [before] = data.check('instance', splits=('train',)).splits
    settings, _ = write_clean_copy(before, tmp_path / 'clean')
    annotations = json.loads(Path(settings['ann_file']).read_text())['annotations']
    assert [annotation['id'] for annotation in annotations] == list(range(1, len(annotations) + 1))
    polygons = [annotation for annotation in annotations if isinstance(annotation['segmentation'], list)]
    assert [annotation['segmentation'] for annotation in polygons] == [[[5, 5, 15, 5, 15, 15, 5, 15]]]
    for annotation in annotations:
        rle = from_segmentation(annotation['segmentation'], *SIZE)
        assert annotation['area'] == mask_utils.decode(rle).sum()
        assert annotation['bbox'] == mask_utils.toBbox(rle).tolist()


def test_class_ids_without_a_meaning_become_void_and_nothing_else_changes(data, tmp_path):
    data.paint(2, 77, 40)
    image = Image.open(data.class_map(3))
    palette = [value // 3 for value in range(768)]
    image.putpalette(palette)
    values = np.array(image)
    values[0, 10:20] = 200
    painted = Image.fromarray(values)
    painted.putpalette(palette)
    painted.save(data.class_map(3))
    [before] = data.check('semantic', splits=('train',)).splits
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    maps = Path(settings['data_prefix.seg'])
    assert count == NUM_TRAIN and Path(settings['ann_file']).read_text().splitlines()[0] == data.image(0).name
    for index in range(NUM_TRAIN):
        old, new = data.class_map(index), maps / data.class_map(index).name
        if index in (2, 3):
            values = np.array(Image.open(old))
            np.testing.assert_array_equal(np.array(Image.open(new)), np.where(np.isin(values, (77, 200)), 255, values))
        else:
            assert old.read_bytes() == new.read_bytes()
    copied = Image.open(maps / data.class_map(3).name)
    assert copied.mode == 'P' and copied.getpalette() == palette


@pytest.mark.parametrize('ignored, left', [((0, 255), 8), (0, 8), ((0, 254, 1000), 8), (None, 7)])
def test_the_void_value_fits_or_the_image_is_left_out(data, tmp_path, ignored, left):
    for path in (data.root / 'semantic_train').iterdir():
        values = np.array(Image.open(path))
        Image.fromarray(np.where(np.isin(values, (0, 255)), 1, values)).save(path)
    data.paint(2, 77, 40)
    given = dict(ignore_index=ignored)
    [before] = data.check('semantic', splits=('train',), **given).splits
    assert kinds(before) == {'unknown value': 1}
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    after, dataset = check_copy(data, 'semantic', settings, **given)
    assert count == len(dataset) == left and not kinds(after)
    if left == 8:
        values = np.array(Image.open(Path(settings['data_prefix.seg']) / data.class_map(2).name))
        assert values.dtype == np.uint8
        assert values.ravel()[0] == {0: 0, (0, 255): 255, (0, 254, 1000): 254}[ignored]


def test_a_list_with_categories_keeps_them(data, tmp_path):
    names = {1: 'sky', 5: 'road', 6: 'path', 9: 'car'}
    content = dict(categories=[dict(id=id_, name=name) for id_, name in names.items()])
    (data.root / 'classes.json').write_text(json.dumps(content))
    data.image(4).unlink()
    data.paint(2, 77, 40)
    given = dict(label_map=None)
    [before] = data.check('semantic', splits=('train',), ann_file='classes.json', **given).splits
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    after, dataset = check_copy(data, 'semantic', settings, **given)
    assert count == len(dataset) == 7 and not kinds(after)
    assert dataset.metainfo['classes'] == tuple(names.values())


def test_names_that_a_list_cannot_hold_are_left_out(data, tmp_path):
    for index, name in ((0, ' first'), (7, 'two\nlines')):
        data.image(index).rename(data.root / 'train' / f'{name}.jpg')
        data.class_map(index).rename(data.root / 'semantic_train' / f'{name}.png')
    [before] = data.check('semantic', splits=('train',)).splits
    assert not kinds(before)
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    names = Path(settings['ann_file']).read_text().splitlines()
    assert count == 6 and names == [f'{index:06d}.jpg' for index in range(1, 7)]
    assert len(check_copy(data, 'semantic', settings)[1]) == 6


def test_nothing_is_written_outside_the_folder(data, tmp_path):
    (data.root / 'list.txt').write_text('../val/000000.jpg\n000001.jpg\n')
    (data.root / 'val' / '000000.png').write_bytes(data.class_map(0, 'val').read_bytes())  # beside semantic_train/
    [before] = data.check('semantic', splits=('train',), ann_file='list.txt').splits
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    assert count == 1 and Path(settings['ann_file']).read_text() == '000001.jpg\n'
    assert not (tmp_path / 'clean' / 'val').exists()
    data.edit(lambda content: content['annotations'][0].update(file_name='../panoptic_val/000000.png'))
    [before] = data.check('panoptic', splits=('train',)).splits
    settings, _ = write_clean_copy(before, tmp_path / 'more')
    names = [row['file_name'] for row in json.loads(Path(settings['ann_file']).read_text())['annotations']]
    assert len(set(names)) == len(names) and all('/' not in name for name in names)


@pytest.mark.parametrize('form, left', [('panoptic', NUM_TRAIN - 1), ('instance', NUM_TRAIN)])
def test_images_without_annotation(data, tmp_path, form, left):
    """Instance data may have images that show nothing to learn; a panoptic image without PNG cannot be learnt."""
    data.edit(
        lambda content: content.update(annotations=[a for a in content['annotations'] if a['image_id'] != 4]),
        'panoptic' if form == 'panoptic' else 'instances',
    )
    [before] = data.check(form, splits=('train',)).splits
    settings, count = write_clean_copy(before, tmp_path / 'clean')
    after, dataset = check_copy(data, form, settings)
    assert count == len(dataset) == left and kinds(after) == ({} if form == 'panoptic' else {'no annotation': 1})


@pytest.mark.parametrize('form', ['panoptic', 'instance'])
def test_the_checked_file_is_not_overwritten(data, form):
    [before] = data.check(form, splits=('train',)).splits
    with pytest.raises(ValueError, match='is the file that was checked'):
        write_clean_copy(before, data.root / 'annotations')
