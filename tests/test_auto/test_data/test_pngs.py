import numpy as np
import pytest
from PIL import Image

from mask2former.auto.data import recognise
from mask2former.errors import ConfigError, DataError

from .kit import THINGS, both, box_mask, class_map, masks_of, object_map, picture, prepared, same, save, truth, write

NAMES = ['floor', 'cat', 'dog']
COLORS = np.array([[128, 64, 64], [0, 128, 0], [0, 0, 192]], np.uint8)


def semantic_truth(names=THINGS, classes=NAMES):
    """Of each image the classes and masks, things of a class together."""
    return {
        name: [
            (label, class_map(name) == value) for value, label in enumerate(classes) if (class_map(name) == value).any()
        ]
        for name in names
    }


def folders(root):
    for name in THINGS:
        picture(root / 'images' / f'{name}.jpg')
        save(root / 'labels' / f'{name}.png', class_map(name))
    write(root / 'classes.txt', '\n'.join(NAMES))


def fastai_camvid(root):
    """Labels end with _P, a text file lists what validates, Void is a class of its own."""
    for name in THINGS:
        picture(root / 'images' / f'{name}.png')
        save(root / 'labels' / f'{name}_P.png', class_map(name))
    write(root / 'codes.txt', '\n'.join([*NAMES, 'Void']))
    write(root / 'valid.txt', 'd.png\ne.png\n')


def split_below(root):
    for name in THINGS:
        split = 'validation' if name in 'de' else 'training'
        picture(root / 'images' / split / f'{name}.jpg')
        save(root / 'annotations' / split / f'{name}.png', class_map(name))
    write(root / 'labels.txt', '\n'.join(f'{value} {name}' for value, name in enumerate(NAMES)))


def split_above(root):
    for name in THINGS:
        split = 'val' if name in 'de' else 'train'
        picture(root / split / 'img' / f'{name}.png')
        save(root / split / 'masks' / f'{name}.png', class_map(name))
    write(root / 'classes.txt', '\n'.join(NAMES))


def split_beside(root):
    for name in THINGS:
        split = 'val' if name in 'de' else 'train'
        picture(root / split / f'{name}.png')
        save(root / f'{split}_labels' / f'{name}.png', class_map(name))
    write(root / 'classes.txt', '\n'.join(NAMES))


def roboflow(root):
    """Images and PNG files in one folder."""
    for name in THINGS:
        split = 'valid' if name in 'de' else 'train'
        picture(root / split / f'{name}.jpg')
        save(root / split / f'{name}_mask.png', class_map(name))
        write(
            root / split / '_classes.csv', 'Pixel Value, Class\n' + '\n'.join(f'{i}, {n}' for i, n in enumerate(NAMES))
        )


@pytest.mark.parametrize('layout', [folders, fastai_camvid, split_below, split_above, split_beside, roboflow])
def test_class_pngs(tmp_path, layout):
    layout(tmp_path / 'in')
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert result.task == 'semantic'
    assert same(both(result), semantic_truth())
    if layout is not folders:
        assert masks_of(result.val).keys() == set('de')
    assert {path.suffix for path in (tmp_path / 'out').rglob('*') if path.is_file()} == {'.txt'}


def test_ids_are_names_where_nothing_names_them(tmp_path):
    folders(tmp_path / 'in')
    (tmp_path / 'in/classes.txt').unlink()
    ids = class_map('a')
    ids[:3] = 255
    save(tmp_path / 'in/labels/a.png', ids)
    expected = semantic_truth(classes=['0', '1', '2'])
    expected['a'] = [(str(value), ids == value) for value in (0, 1, 2)]
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), expected)


@pytest.mark.parametrize('front', [1, 255])
def test_binary(tmp_path, front):
    for name in THINGS:
        picture(tmp_path / 'in/images' / f'{name}.png')
        save(tmp_path / 'in/masks' / f'{name}.png', (class_map(name) > 0).astype(np.uint8) * front)
    expected = {name: [('background', class_map(name) == 0), ('foreground', class_map(name) > 0)] for name in THINGS}
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), expected)


@pytest.mark.parametrize('form', ['label_colors.txt', 'labelmap.txt', 'class_dict.csv'])
def test_colors(tmp_path, form):
    for name in THINGS:
        picture(tmp_path / 'in/images' / f'{name}.jpg')
        save(tmp_path / 'in/labels' / f'{name}_L.png', COLORS[class_map(name)])
    lines = {
        'label_colors.txt': [f'{r} {g} {b}\t\t{name}' for name, (r, g, b) in zip(NAMES, COLORS)],
        'labelmap.txt': ['# a:b:c:d', *(f'{name}:{r},{g},{b}::' for name, (r, g, b) in zip(NAMES, COLORS))],
        'class_dict.csv': ['name,r,g,b', *(f'{name},{r},{g},{b}' for name, (r, g, b) in zip(NAMES, COLORS))],
    }  # fmt: skip
    write(tmp_path / 'in' / form, '\n'.join(lines[form]))
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), semantic_truth())


def test_ids_go_before_colors(tmp_path):
    folders(tmp_path / 'in')
    for name in THINGS:
        save(tmp_path / 'in/label_pictures' / f'{name}.png', COLORS[class_map(name)])
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), semantic_truth())
    for name in THINGS:
        save(tmp_path / 'in/objects' / f'{name}.png', object_map(name))
    with pytest.raises(DataError, match='are labels of the same image'):
        recognise(tmp_path / 'in')


def test_palette(tmp_path):
    folders(tmp_path / 'in')
    for name in THINGS:
        image = Image.fromarray(class_map(name))
        image.putpalette(COLORS.ravel().tolist())
        image.save(tmp_path / 'in/labels' / f'{name}.png')
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), semantic_truth())


def test_class_pngs_as_panoptic(tmp_path):
    folders(tmp_path / 'in')
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out', task='panoptic')), semantic_truth())
    with pytest.raises(ConfigError, match='cannot be learned as instance data, but as semantic or panoptic'):
        prepared(tmp_path / 'in', tmp_path / 'out', task='instance')


def cells(seed, number):
    """A map (H, W) of numbers of objects, and their masks."""
    ids, masks = np.zeros((40, 48), np.uint16), []
    for place in np.random.default_rng(seed).permutation(20)[:number].tolist():
        mask = box_mask((place % 5 * 9 + 1, place // 5 * 9 + 1, place % 5 * 9 + 8, place // 5 * 9 + 7), ids.shape)
        masks.append(mask)
        ids[mask] = len(masks)
    return ids, masks


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('task', ['auto', 'instance', 'semantic'])
def test_instance_pngs(tmp_path, dtype, task):
    expected = {}
    for seed in range(6):
        ids, masks = cells(seed, 3 + 2 * seed)
        picture(tmp_path / 'in/images' / f'{seed}.png', ids.shape)
        save(tmp_path / 'in/masks' / f'{seed}.png', ids.astype(dtype))
        rows = [('object', mask) for mask in masks]
        if task == 'semantic':
            rows = [('object', ids > 0)]
        expected[str(seed)] = rows + ([] if task == 'instance' else [('background', ids == 0)])
    found = recognise(tmp_path / 'in')
    assert found.kind == 'instance PNGs'
    result = prepared(tmp_path / 'in', tmp_path / 'out', task=task)
    assert result.task == ('panoptic' if task == 'auto' else task)
    assert same(both(result), expected)


def test_a_list_of_classes_makes_them_classes(tmp_path):
    for seed in range(6):
        ids, _ = cells(seed, 3 + seed)
        picture(tmp_path / 'images' / f'{seed}.png', ids.shape)
        save(tmp_path / 'masks' / f'{seed}.png', ids.astype(np.uint8))
    write(tmp_path / 'classes.txt', '\n'.join(f'class {value}' for value in range(20)))
    assert recognise(tmp_path).kind == 'class PNGs'


def test_few_things_of_an_image_are_objects_only_by_the_folder_name(tmp_path):
    for name in THINGS:
        picture(tmp_path / 'in/images' / f'{name}.png')
        save(tmp_path / 'in/instances' / f'{name}.png', object_map(name))
    expected = {name: [('background' if label == 'background' else 'object', mask) for label, mask in rows]
                for name, rows in truth(background='background').items()}  # fmt: skip
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), expected)


def test_images_without_png_are_left_alone(tmp_path):
    split_below(tmp_path / 'in')
    picture(tmp_path / 'in/images/training/x.jpg')
    picture(tmp_path / 'in/images/test/y.jpg')
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert same(both(result), semantic_truth())
    assert "1 image of train without annotations: left alone, such as 'images/training/x.jpg'." in result.says
    assert any('of test without annotations' in line for line in result.says)


@pytest.mark.parametrize(
    'fault, sentence',
    [
        ('short list', "'.*labels/.*png' has the value 2, but 'classes.txt' names the classes 0 to 1"),
        ('empty list', "classes.txt' is empty"),
        ('twice', "has 'cat' twice"),
        ('lists differ', 'name different classes'),
        ('size', r"labels/b.png' is 5 x 6 \(H x W\), but the image '.*b.jpg' is 24 x 32"),
        ('broken', "labels/e.png' cannot be read as an image"),
        ('jpeg', 'is a JPEG file, which changes the ids'),
        ('colours', 'has classes in colours, but no file says which'),
        ('no images', 'there are no images of the same names'),
        ('no pngs', '5 images, such as .*, but no annotations that are known'),
        ('empty', 'is empty'),
        ('text', 'has no image, but 1 other file '),
        ('single', 'one annotated image'),
        ('newline', r"image 'a\\nb.jpg' of '.*' has a name that no list of files can hold"),
        ('bytes', r"name 'images/\\udcff.jpg' is not in UTF-8"),
        ('void', 'have no class: everything is void'),
        ('inside', 'lies in'),
    ],
)
def test_faults(tmp_path, fault, sentence):
    root, out = tmp_path / 'in', tmp_path / 'out'
    folders(root)
    if fault == 'short list':
        write(root / 'classes.txt', 'floor\ncat\n')
    elif fault == 'empty list':
        write(root / 'classes.txt', '\n')
    elif fault == 'twice':
        write(root / 'classes.txt', 'cat\ncat\ndog')
    elif fault == 'lists differ':
        write(root / 'labels/labels.txt', 'a\nb\nc')
    elif fault == 'size':
        save(root / 'labels/b.png', np.zeros((5, 6), np.uint8))
    elif fault == 'broken':
        (root / 'labels/e.png').write_bytes((root / 'labels/a.png').read_bytes()[:60])
    elif fault in ('jpeg', 'no pngs', 'colours'):
        for name in THINGS:
            (root / 'labels' / f'{name}.png').unlink()
            if fault == 'jpeg':
                save(root / 'labels' / f'{name}.jpg', class_map(name) * 80)
            if fault == 'colours':
                save(root / 'labels' / f'{name}.png', COLORS[class_map(name)])
    elif fault == 'no images':
        for name in THINGS:
            (root / 'images' / f'{name}.jpg').unlink()
    elif fault == 'single':
        for name in 'bcde':
            (root / 'images' / f'{name}.jpg').unlink()
            (root / 'labels' / f'{name}.png').unlink()
    elif fault == 'newline':
        for path in (root / 'images/a.jpg', root / 'labels/a.png'):
            path.rename(path.with_name(f'a\nb{path.suffix}'))
    elif fault == 'bytes':
        (root / 'images/a.jpg').rename(root / 'images/\udcff.jpg')
    elif fault == 'void':
        (root / 'classes.txt').unlink()
        for name in THINGS:
            save(root / 'labels' / f'{name}.png', np.full_like(class_map(name), 255))
    elif fault == 'inside':
        out = root / 'out'
    elif fault == 'empty':
        root = tmp_path / 'nothing'
        root.mkdir()
    elif fault == 'text':
        root = tmp_path / 'text'
        write(root / 'readme.txt', 'x')
    with pytest.raises(DataError, match=sentence) as error:
        prepared(root, out)
    assert '\n' not in str(error.value)


def test_a_missing_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="'.*nowhere' does not exist"):
        recognise(tmp_path / 'nowhere')
    write(tmp_path / 'a.zip', '')
    with pytest.raises(DataError, match='is an archive; unpack it'):
        recognise(tmp_path / 'a.zip')
    write(tmp_path / 'a.csv', '')
    with pytest.raises(DataError, match='is no annotation file'):
        recognise(tmp_path / 'a.csv')


def test_resumes(tmp_path):
    for seed in range(6):
        ids, _ = cells(seed, 3 + 2 * seed)
        picture(tmp_path / 'in/images' / f'{seed}.png', ids.shape)
        save(tmp_path / 'in/masks' / f'{seed}.png', ids)
    good = (tmp_path / 'in/images/5.png').read_bytes()
    (tmp_path / 'in/images/5.png').write_bytes(good[:800])
    with pytest.raises(DataError, match='5.png'):
        prepared(tmp_path / 'in', tmp_path / 'out')
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*.png')}
    (tmp_path / 'in/images/5.png').write_bytes(good)
    assert len(both(prepared(tmp_path / 'in', tmp_path / 'out'))) == 6
    assert done and all(path.stat().st_mtime_ns == time for path, time in done.items())
