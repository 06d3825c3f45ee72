"""COCO-Stuff-10k from MATLAB files that scipy writes, against the rules of MaskFormer and mmsegmentation."""

import sys

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from mask2former.data_tools.official import coco_stuff10k
from mask2former.errors import DataError, MissingPackageError
from mask2former.formats.known_metainfo import known_metainfo
from tests.test_data_tools.kit import blocks, load, run, save, times

# Some rows of the table of numbers in mmsegmentation's tools/dataset_converters/coco_stuff10k.py, which begins with 1.
SECOND = {1: 1, 11: 11, 13: 12, 25: 24, 27: 25, 31: 27, 44: 40, 46: 41, 67: 61, 70: 62, 90: 80, 92: 81, 182: 171}
NAMES = dict(
    train=('COCO_train2014_000000000077', 'COCO_train2014_000000000110'), test=('COCO_train2014_000000000349',)
)


def write_tree(root, values, names=None):
    rng = np.random.default_rng(0)
    for split, stems in NAMES.items():
        for stem in stems:
            save(root / 'images' / f'{stem}.jpg', rng.integers(0, 256, (32, 28, 3), np.uint8))
            content = dict(S=blocks(rng, (32, 28), values), captions=np.array(['a', 'b'], dtype=object))
            if names:
                content['names'] = np.array([f'class {i}' for i in range(names)], dtype=object)[:, None]
            (root / 'annotations').mkdir(exist_ok=True)
            savemat(root / 'annotations' / f'{stem}.mat', content)
        (root / 'imageLists').mkdir(exist_ok=True)
        (root / 'imageLists' / f'{split}.txt').write_text(''.join(f'{stem}\n' for stem in stems))
    return root


def labels_of(root, split, stem):
    return np.array(Image.open(root / 'annotations_detectron2' / split / f'{stem}.png'))


def map_of(root, stem):
    return loadmat(root / 'annotations' / f'{stem}.mat')['S']


@pytest.mark.parametrize('names', [None, 182, 183])
@pytest.mark.parametrize('jobs', [1, 2])
def test_v1_1_as_mmsegmentation(tmp_path, names, jobs):
    root = write_tree(tmp_path, [0, *SECOND], names)
    run('prepare_coco_stuff10k', root, '--jobs', jobs)
    for split, stems in NAMES.items():
        for stem in stems:
            values, labels = map_of(root, stem), labels_of(root, split, stem)
            assert labels.dtype == np.uint8 and (labels[values == 0] == 255).all()
            for value, number in SECOND.items():
                assert (labels[values == value] == number - 1).all() and (values == value).any()
            image = root / 'images_detectron2' / split / f'{stem}.jpg'
            assert image.samefile(root / 'images' / f'{stem}.jpg')
    assert not list(root.glob('*.journal'))
    dataset = load('coco_stuff10k_semantic', 'train', root)
    assert len(dataset) == 2
    assert dataset[0]['gt_seg_labels'].tolist() == [number - 1 for number in SECOND.values()]


def test_all_numbers_of_v1_1():
    """COCO's ids for things, 92 to 182 for stuff, in the order of the classes."""
    classes = known_metainfo('coco_stuff10k')['classes']
    assert classes[:80] == known_metainfo('coco_instance')['classes'] and classes[80] == 'banner'
    assert list(coco_stuff10k.SECOND.values()) == [*range(171), 255]


def test_v1_0_as_maskformer(tmp_path):
    """Of that release the numbers are 1 (void) to 172; a file says so by its 172 names."""
    root = write_tree(tmp_path, [1, 2, 3, 81, 82, 172], 172)
    coco_stuff10k.convert_coco_stuff10k(root, ['train'], 1)
    for stem in NAMES['train']:
        assert (labels_of(root, 'train', stem) == map_of(root, stem).astype(np.uint8) - np.uint8(2)).all()
    assert not (root / 'annotations_detectron2/test').exists()


def test_v1_0_in_hdf5(tmp_path):
    h5py = pytest.importorskip('h5py')
    root = write_tree(tmp_path, [1, 2, 172])
    stem = NAMES['test'][0]
    values = map_of(root, stem)
    with h5py.File(root / 'annotations' / f'{stem}.mat', 'w', userblock_size=512) as file:
        file['S'] = values.T.astype(np.float64)
    text = b'MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: x HDF5 schema 1.00 .'
    with open(root / 'annotations' / f'{stem}.mat', 'r+b') as file:
        file.write(text.ljust(124) + bytes([0, 2]) + b'IM')
    coco_stuff10k.convert_coco_stuff10k(root, ['test'], 1)
    assert (labels_of(root, 'test', stem) == values.astype(np.uint8) - np.uint8(2)).all()


def test_hdf5_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'h5py', None)
    root = write_tree(tmp_path, [1])
    path = root / 'annotations' / f'{NAMES["test"][0]}.mat'
    path.write_bytes(b'MATLAB 7.3 MAT-file'.ljust(124) + bytes([0, 2]) + b'IM' + bytes(400))
    with pytest.raises(MissingPackageError, match='is of COCO-Stuff-10k v1.0, in HDF5; run `pip install h5py`'):
        coco_stuff10k.convert_coco_stuff10k(root, ['test'], 1)


def test_resumes_after_a_broken_file(tmp_path):
    root = write_tree(tmp_path, [0, 1])
    broken = root / 'annotations' / f'{NAMES["train"][1]}.mat'
    good = broken.read_bytes()
    broken.write_bytes(good[:150])
    with pytest.raises(SystemExit, match="Error: '.*110.mat' cannot be read as a MATLAB file .*get it again"):
        run('prepare_coco_stuff10k', root, '--jobs', 1)
    done = times(root / 'annotations_detectron2/train')
    broken.write_bytes(good)
    coco_stuff10k.convert_coco_stuff10k(root, ['train'], 1)
    assert len(done) == 1 and done.items() <= times(root / 'annotations_detectron2/train').items()
    coco_stuff10k.convert_coco_stuff10k(root, ['train'], 1)  # once more: the links are there already
    assert len(list((root / 'images_detectron2/train').iterdir())) == 2


def test_errors_name_file_and_fix(tmp_path):
    root = write_tree(tmp_path, [0, 12, 200])
    with pytest.raises(DataError, match=r'349.mat. has the values \[12, 200\].*v1.1; get the file again'):
        coco_stuff10k.convert_coco_stuff10k(root, ['test'], 1)
    savemat(root / 'annotations' / f'{NAMES["test"][0]}.mat', dict(T=1))
    with pytest.raises(DataError, match="349.mat' has no label map 'S'"):
        coco_stuff10k.convert_coco_stuff10k(root, ['test'], 1)
    savemat(root / 'annotations' / f'{NAMES["test"][0]}.mat', dict(S=np.zeros((32, 27), np.uint8)))
    with pytest.raises(DataError, match='349.mat. is 32 x 27 .*32 x 28'):
        coco_stuff10k.convert_coco_stuff10k(root, ['test'], 1)
    (root / 'annotations' / f'{NAMES["test"][0]}.mat').unlink()
    with pytest.raises(FileNotFoundError, match='349.mat. does not exist; unpack the release completely'):
        coco_stuff10k.convert_coco_stuff10k(root, ['test'], 1)
    with pytest.raises(FileNotFoundError, match='test.txt. does not exist; unpack the release there'):
        coco_stuff10k.convert_coco_stuff10k(root / 'images', ['test'], 1)
