"""ADE20K with 847 classes, against a plain loop after the reference's rules."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.official import ade20k_full
from mask2former.datasets import metainfo
from mask2former.errors import DataError
from mask2former.formats.known_metainfo import known_metainfo
from tests.test_data_tools.kit import blocks, load, run, save, times

# Numbers in the release's list of objects, as the reference's ade20k_instance_catid_mapping.txt has them, and names.
OBJECTS = {165: 'bed', 1831: 'person', 783: 'double door', 2420: 'sky', 954: 'flag', 249: 'bottle', 2684: 'table'}


def object_ids():
    path = Path(metainfo.__file__).parent / 'metainfo' / 'ade20k_full_object_ids.json'
    return json.loads(path.read_text())['object_ids']


def test_object_ids():
    """The release's list is in the order of the alphabet up to 3100; what came later follows it."""
    ids, names = object_ids(), known_metainfo('ade20k_full')['classes']
    assert len(ids) == len(set(ids)) == len(names) == 847
    listed = [name for number, name in sorted(zip(ids, names)) if number <= 3100]
    assert len(listed) > 800 and listed == sorted(listed)
    for number, name in OBJECTS.items():
        assert names[ids.index(number)].split(',')[0] == name


@pytest.fixture()
def tree(tmp_path):
    """Sizes below, at and over the limit of 512 pixels, a grey image, and objects that are no class."""
    rng = np.random.default_rng(0)
    root = tmp_path / 'ADE20K_2021_17_01'
    sizes = {
        'training/home/bed/ADE_train_00000001': (48, 600),
        'training/home/bath/ADE_train_00000002': (530, 601),
        'training/street/x/ADE_train_00000003': (700, 513),
        'validation/street/x/ADE_val_00000001': (40, 52),
    }
    for name, size in sizes.items():
        shape = size if name.endswith('3') else (*size, 3)
        save(root / 'images/ADE' / f'{name}.jpg', rng.integers(0, 256, shape, np.uint8))
        numbers = blocks(rng, size, [0, 1, 3, 3148, *OBJECTS], np.int32)
        rgb = np.dstack([numbers // 256 * 10, numbers % 256, rng.integers(0, 9, size)]).astype(np.uint8)
        save(root / 'images/ADE' / f'{name}_seg.png', rgb)
        save(root / 'images/ADE' / f'{name}_parts_1.png', rgb)
        save(root / 'images/ADE' / name / 'instance_000_x.png', rgb)
        (root / 'images/ADE' / name).with_name('._hidden.jpg').write_bytes(b'')
    return root


def reference(root: Path, name: str) -> np.ndarray:
    [path] = root.glob(f'images/ADE/*/*/*/{name}_seg.png')
    rgb = np.array(Image.open(path))
    numbers = (rgb[..., 0] / 10).astype(np.int32) * 256 + rgb[..., 1].astype(np.int32)
    height, width = numbers.shape
    if width >= height > 512:
        numbers = cv2.resize(numbers, (round(width / float(height) * 512), 512), interpolation=cv2.INTER_NEAREST)
    elif height >= width > 512:
        numbers = cv2.resize(numbers, (512, round(height / float(width) * 512)), interpolation=cv2.INTER_NEAREST)
    labels = np.full(numbers.shape, 65535)
    for index, number in enumerate(object_ids()):
        labels[numbers == number] = index
    return labels


def test_as_the_reference(tree):
    run('prepare_ade20k_full', tree, '--jobs', 2)
    all_names = dict(training=[f'ADE_train_0000000{i}' for i in (1, 2, 3)], validation=['ADE_val_00000001'])
    for split, names in all_names.items():
        assert sorted(path.name for path in (tree / 'annotations_detectron2' / split).iterdir()) == [
            f'{name}.tif' for name in names
        ]
        for name in names:
            labels = np.array(Image.open(tree / 'annotations_detectron2' / split / f'{name}.tif'))
            assert labels.dtype == np.uint16 and (labels == reference(tree, name)).all()
            [source] = tree.glob(f'images/ADE/*/*/*/{name}.jpg')
            target = tree / 'images_detectron2' / split / f'{name}.jpg'
            with Image.open(target) as image:
                assert image.size == labels.shape[::-1]
            assert (target.read_bytes() == source.read_bytes()) == (name[-1] == '1')
    assert {*np.unique(labels)} >= {65535, 7, 846}  # bed and adding machine
    assert not list(tree.glob('*.journal'))


def test_small_image_shows_the_same(tree):
    path = tree / 'images/ADE/training/home/bath/ADE_train_00000002.jpg'
    image = np.zeros((530, 601, 3), np.uint8)
    image[:, :300], image[200:, 300:] = (200, 40, 90), (10, 220, 130)
    save(path, image)
    run('prepare_ade20k_full', tree, '--splits', 'training', '--jobs', 1)
    small = np.array(Image.open(tree / 'images_detectron2/training/ADE_train_00000002.jpg'))
    expected = cv2.resize(np.array(Image.open(path)), small.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    assert small.shape == (512, round(601 / 530 * 512), 3)
    assert np.abs(small.astype(int) - expected).mean() < 1  # of JPEG


def test_no_reader_turns_an_image(tree):
    path = tree / 'images/ADE/validation/street/x/ADE_val_00000001.jpg'
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    run('prepare_ade20k_full', tree, '--splits', 'validation', '--jobs', 1)
    assert load('ade20k_full_semantic', 'val', tree)[0]['img'].shape == (40, 52, 3)


def test_our_data_set_reads_them(tree):
    run('prepare_ade20k_full', tree, '--jobs', 1)
    dataset = load('ade20k_full_semantic', 'train', tree)
    assert len(dataset) == 3
    item = next(item for item in map(dataset.__getitem__, range(3)) if item['img_id'].endswith('2'))
    labels = np.array([65535, *item['gt_seg_labels']])[item['gt_seg_map']]
    assert (labels == reference(tree, 'ADE_train_00000002')).all()


def test_resumes_after_a_broken_file(tree):
    broken = tree / 'images/ADE/training/street/x/ADE_train_00000003_seg.png'
    good = broken.read_bytes()
    broken.unlink()
    with pytest.raises(SystemExit, match="Error: The file '.*3_seg.png' does not exist; unpack the release completely"):
        run('prepare_ade20k_full', tree, '--jobs', 1)
    done = times(tree / 'annotations_detectron2/training')
    broken.write_bytes(good)
    ade20k_full.convert_ade20k_full(tree, ['training'], 1)
    after = times(tree / 'annotations_detectron2/training')
    assert (len(done), len(after)) == (2, 3) and done.items() <= after.items()


def test_errors_name_file_and_fix(tree):
    with pytest.raises(FileNotFoundError, match='ADE/training.* does not exist; give the folder ADE20K_2021_17_01'):
        ade20k_full.convert_ade20k_full(tree / 'images', ['training'], 1)
    path = tree / 'images/ADE/validation/street/x/ADE_val_00000001_seg.png'
    save(path, np.zeros((40, 52), np.uint8))
    with pytest.raises(DataError, match=r"_seg.png' is an array of the shape \(40, 52\).*3 channels"):
        ade20k_full.convert_ade20k_full(tree, ['validation'], 1)
    save(tree / 'images/ADE/validation/y/ADE_val_00000001.jpg', np.zeros((40, 52), np.uint8))
    with pytest.raises(DataError, match='have the same name'):
        ade20k_full.convert_ade20k_full(tree, ['validation'], 1)
