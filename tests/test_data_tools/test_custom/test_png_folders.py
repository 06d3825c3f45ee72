"""PNG folders: each form on small trees, read back by the data sets; every fault in one sentence."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.test_data_tools.kit import boxes, failure, instance, panoptic, picture, run, same, save, segments

TOOL, SIZE = 'pngs_to_panoptic', (20, 30)
CLASSES = ('--classes', '0=road', '7=sky', '11=person:thing', '13=car:thing')
# The second car has some pixels of a person.
SEMANTIC = boxes(SIZE, _7=(0, 0, 8, 30), _11=(5, 2, 12, 8), _13=(6, 10, 12, 28), _255=(0, 0, 2, 2), _011=(6, 10, 7, 12))
NUMBERS = boxes(SIZE, _1=(5, 2, 12, 8), _2=(6, 10, 12, 19), _300=(6, 19, 12, 26))  # pixels of a car have no instance


@pytest.fixture
def tree(tmp_path):
    """Images, class ids as a palette PNG and instance ids of 16 bit, of one image to train and one to validate."""
    for number, name in enumerate(('a', 'b')):
        picture(tmp_path / 'images' / f'{name}.jpg', SIZE, number)
        palette = Image.fromarray(np.roll(SEMANTIC.astype(np.uint8), 3 * number, axis=1))
        palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        (tmp_path / 'semantic').mkdir(exist_ok=True)
        palette.save(tmp_path / 'semantic' / f'{name}.png')
        save(tmp_path / 'numbers' / f'{name}.png', np.roll(NUMBERS, 3 * number, axis=1))
    (tmp_path / 'val.txt').write_text('b.jpg\n')
    return tmp_path


def convert(tree, *arguments):
    return run(TOOL, tree / 'images', tree / 'out', '--val-list', tree / 'val.txt', '--jobs', 1, *arguments)


def fault(tree, *arguments):
    return failure(TOOL, tree / 'images', tree / 'out', '--val-list', tree / 'val.txt', '--jobs', 1, *arguments)


def test_instances_take_their_class_from_the_semantic_map(tree):
    convert(tree, '--semantic', tree / 'semantic', '--instances', tree / 'numbers', *CLASSES)
    for split, name, shift in (('train', 'a.jpg', 0), ('val', 'b.jpg', 3)):
        semantic, numbers = np.roll(SEMANTIC, shift, axis=1), np.roll(NUMBERS, shift, axis=1)
        [(found, void)] = segments(tree / 'out', split).values()
        assert list(segments(tree / 'out', split)) == [name]
        assert same(
            found,
            [
                ('road', semantic == 0, 0),
                ('sky', semantic == 7, 0),
                ('person', numbers == 1, 0),
                ('car', numbers == 2, 0),
                ('car', numbers == 300, 0),
            ],
        )
        assert (void == ((semantic == 255) | (semantic == 13) & (numbers == 0))).all()
    things = instance(tree / 'out', 'train')
    assert things.metainfo['classes'] == ('person', 'car') and things.metainfo['category_ids'] == (11, 13)
    assert things[0]['gt_seg_labels'].tolist() == [0, 1, 1]
    assert (things[0]['gt_seg_map'] == np.searchsorted([0, 1, 2, 300], NUMBERS)).all()


def test_divisor(tree):
    """As in Cityscapes: class * 1000 + n; below 1000 a class id, of stuff or of a group."""
    ids = boxes(
        SIZE,
        _7=(0, 0, 8, 30),
        _11000=(5, 2, 12, 8),
        _13=(6, 10, 12, 19),
        _13002=(6, 19, 12, 26),
        _9=(15, 0, 16, 4),
        _7001=(18, 0, 20, 5),
    )
    for name in ('a', 'b'):
        save(tree / 'numbers' / f'{name}.png', ids)
    convert(tree, '--instances', tree / 'numbers', '--divisor', 1000, *CLASSES, '--void', 9, '--background', 'road')
    [(found, void)] = segments(tree / 'out', 'train').values()
    assert same(
        found,
        [
            ('road', ids == 0, 0),
            ('sky', (ids == 7) | (ids == 7001), 0),
            ('person', ids == 11000, 0),
            ('car', ids == 13, 1),
            ('car', ids == 13002, 0),
        ],
    )
    assert (void == (ids == 9)).all(), 'what is void is not background'


def test_one_class_and_background(tree):
    printed = convert(tree, '--instances', tree / 'numbers', '--thing', 'cell', '--background', 'tissue')
    assert '1 images, 2 classes, 4 segments, 3 things' in printed
    [(found, void)] = segments(tree / 'out', 'train').values()
    assert same(found, [('tissue', NUMBERS == 0, 0)] + [('cell', NUMBERS == value, 0) for value in (1, 2, 300)])
    assert not void.any()
    assert panoptic(tree / 'out', 'train').metainfo['isthing'] == (True, False)


@pytest.mark.parametrize('layout', ['masks/{}/{}.png', 'masks/{}/masks/{}.png'])
def test_mask_folders(tree, layout):
    """The smaller of two overlapping masks lies on top, whatever their order; the instance file keeps both whole."""
    masks = [boxes(SIZE, _255=box).astype(np.uint8) for box in ((2, 2, 6, 6), (0, 0, 12, 12), (15, 15, 20, 30))]
    for name in ('a', 'b'):
        for number, mask in enumerate(masks):
            save(tree / layout.format(name, number), mask)
    save(tree / layout.format('a', 2), np.dstack([masks[2]] * 3 + [np.full(SIZE, 255, np.uint8)]))  # one in colour
    convert(tree, '--mask-dirs', tree / 'masks', '--thing', 'cell', '--semantic', tree / 'semantic', *CLASSES)
    small, large, apart = (mask > 0 for mask in masks)
    [(found, _)] = segments(tree / 'out', 'train').values()
    under = small | large | apart
    assert same(
        found,
        [
            ('cell', small, 0),
            ('cell', large & ~small, 0),
            ('cell', apart, 0),
            ('road', (SEMANTIC == 0) & ~under, 0),
            ('sky', (SEMANTIC == 7) & ~under, 0),
        ],
    )
    layers = instance(tree / 'out', 'train')[0]['gt_seg_map']  # (H, W, 2)
    whole = [(layers == value).any(-1) for value in (1, 2, 3)]
    assert same([('cell', mask, 0) for mask in whole], [('cell', mask, 0) for mask in (small, large, apart)])


def test_data_science_bowl(tmp_path):
    """IMAGE_ID/images/IMAGE_ID.png beside IMAGE_ID/masks/*.png: one folder has both."""
    root = tmp_path / 'stage1_train'
    for number in range(5):
        picture(root / f'id{number}' / 'images' / f'id{number}.png', SIZE, number)
        save(root / f'id{number}' / 'masks' / 'x.png', boxes(SIZE, _255=(number, 0, 10, 10)).astype(np.uint8))
    (root / 'id5' / 'masks').mkdir(parents=True)
    picture(root / 'id5' / 'images' / 'id5.png', SIZE, 5)  # no mask: an image without an instance
    run(TOOL, root, tmp_path / 'out', '--mask-dirs', root, '--thing', 'nucleus', '--jobs', 2)
    found = {**segments(tmp_path / 'out', 'train'), **segments(tmp_path / 'out', 'val')}
    assert len(segments(tmp_path / 'out', 'val')) == 1  # 0.2 of 6
    for number in range(5):
        assert same(found[f'id{number}.png'][0], [('nucleus', boxes(SIZE, _1=(number, 0, 10, 10)) > 0, 0)])
    assert found['id5.png'][0] == [] and found['id5.png'][1].all()


def test_classes_from_a_file(tree):
    rows = [
        dict(id=0, name='road', isthing=0),
        dict(id=7, name='sky', isthing=0, color=[1, 2, 3]),
        dict(id=11, name='person', isthing=1),
        dict(id=13, name='car', isthing=1),
    ]
    for content in (rows, dict(categories=rows)):
        (tree / 'classes.json').write_text(json.dumps(content))
        convert(
            tree, '--semantic', tree / 'semantic', '--instances', tree / 'numbers', '--classes', tree / 'classes.json'
        )
        info = panoptic(tree / 'out', 'train').metainfo
        assert info['classes'] == ('road', 'sky', 'person', 'car') and info['isthing'] == (False, False, True, True)
        assert info['palette'][1] == (1, 2, 3) and len(set(info['palette'])) == 4


def test_suffixes(tmp_path):
    """Cityscapes' names, in folders below, one a link; the names of the images repeat, so the folders stay."""
    for city in ('ulm', 'bonn'):
        picture(tmp_path / 'images' / city / '1_leftImg8bit.png', SIZE)
        save(tmp_path / 'ids' / city / '1_gtFine_instanceIds.png', boxes(SIZE, _5=(0, 0, len(city), 9)))
    (tmp_path / 'images' / 'ulm').rename(tmp_path / 'elsewhere')
    (tmp_path / 'images' / 'ulm').symlink_to(tmp_path / 'elsewhere')
    run(
        TOOL,
        tmp_path / 'images',
        tmp_path / 'out',
        '--instances',
        tmp_path / 'ids',
        '--thing',
        'car',
        '--split',
        'val',
        '--img-suffix',
        '_leftImg8bit.png',
        '--png-suffix',
        '_gtFine_instanceIds.png',
        '--jobs',
        1,
    )
    assert len(panoptic(tmp_path / 'out', 'val')) == 2
    assert (tmp_path / 'out' / 'val' / 'ulm' / '1_leftImg8bit.png').is_file()
    content = json.loads((tmp_path / 'out' / 'annotations' / 'panoptic_val.json').read_text())
    assert [segment['area'] for row in content['annotations'] for segment in row['segments_info']] == [36, 27]


def test_faults(tree):
    given = ('--semantic', tree / 'semantic', '--instances', tree / 'numbers')
    assert 'SemanticPngFormat' in fault(tree, '--semantic', tree / 'semantic', *CLASSES)
    assert "a.png' has pixels of the class id 13, which is no class; add it to --classes" in fault(
        tree, *given, *CLASSES[:-1]
    )
    assert '[7] are in --void, but are classes' in fault(tree, *given, *CLASSES, '--void', 7)
    assert "'sky' must be a thing" in fault(tree, *given, *CLASSES, '--thing', 'sky')
    assert 'have the id 7' in fault(tree, *given, *CLASSES, '7=roof')
    assert "'person' of --classes is no class" in fault(tree, *given, '--classes', 'person')
    assert 'instance 1 of' in fault(tree, *given, *CLASSES[:3], '11=person', '13=car:thing')
    save(tree / 'numbers' / 'b.png', NUMBERS[:-1])
    assert "b.png' is 19 x 30 (H x W), but the image" in fault(tree, *given, *CLASSES)
    (tree / 'numbers' / 'b.png').write_bytes(b'no PNG')
    assert "b.png' cannot be read as an image" in fault(tree, *given, *CLASSES)
    (tree / 'numbers' / 'b.png').unlink()
    assert "b.jpg' has no" in fault(tree, *given, *CLASSES)
    save(tree / 'numbers' / 'b.png', NUMBERS)
    image = tree / 'images' / 'b.jpg'
    image.write_bytes(image.read_bytes()[:-200])
    assert "b.jpg' cannot be decoded" in fault(tree, *given, *CLASSES)
    assert not list((tree / 'out' / 'annotations').glob('*.json')), 'no JSON file before all images are converted'
    picture(image, SIZE)
    save(tree / 'masks' / 'a' / '1.png', NUMBERS[:, :-1].astype(np.uint8))
    assert "b.jpg' has no folder" in fault(tree, '--mask-dirs', tree / 'masks', '--thing', 'cell')
    (tree / 'masks' / 'b').mkdir()
    assert "1.png' is 20 x 29" in fault(tree, '--mask-dirs', tree / 'masks', '--thing', 'cell')
    (tree / 'none').mkdir()
    assert 'has no image' in failure(TOOL, tree / 'none', tree / 'out', '--instances', tree / 'numbers', '--thing', 'x')
    assert 'does not exist' in failure(TOOL, tree / 'no', tree / 'out', '--instances', tree / 'numbers', '--thing', 'x')
