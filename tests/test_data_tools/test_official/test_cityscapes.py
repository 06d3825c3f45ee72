"""Cityscapes' panoptic files, against cityscapesscripts run on the whole tree at once."""

import builtins
import json

import numpy as np
import pytest

from mask2former.data_tools.official import cityscapes
from mask2former.errors import DataError, MissingPackageError
from tests.test_data_tools.kit import blocks, load, run, save, times

NAMES = {
    'train': ('bochum_000000_000313', 'aachen_000001_000019', 'aachen_000000_000019'),
    'val': ('munster_000000_000019',),
}


@pytest.fixture()
def tree(tmp_path):
    """Road, sky, two cars, a person, a group of persons, and the void labels 4 and 0."""
    pytest.importorskip('pyquaternion', reason="cityscapesscripts' own script imports it")
    rng = np.random.default_rng(0)
    for split, names in NAMES.items():
        for name in names:
            city = name.split('_')[0]
            ids = blocks(rng, (32, 64), [7, 23, 26000, 26001, 24000, 24, 4, 0], np.uint16)
            save(tmp_path / 'gtFine' / split / city / f'{name}_gtFine_instanceIds.png', ids)
            save(tmp_path / 'gtFine' / split / city / f'{name}_gtFine_labelIds.png', np.zeros((32, 64), np.uint8))
            (tmp_path / 'gtFine' / split / city / '._hidden_gtFine_instanceIds.png').write_bytes(b'')
            save(tmp_path / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png', np.zeros((32, 64, 3), np.uint8))
    return tmp_path


@pytest.mark.parametrize('jobs', [1, 2])
def test_as_cityscapesscripts(tree, tmp_path_factory, jobs):
    from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic

    out = tmp_path_factory.mktemp('theirs')
    convert2panoptic(cityscapesPath=str(tree / 'gtFine'), outputFolder=str(out), setNames=['train', 'val'])
    run('prepare_cityscapes', tree, '--jobs', jobs)
    for split, names in NAMES.items():
        name = f'cityscapes_panoptic_{split}'
        theirs, ours = (json.loads((folder / f'{name}.json').read_text()) for folder in (out, tree / 'gtFine'))
        assert ours == theirs and len(ours['annotations']) == len(names)
        pngs = {path.name: path.read_bytes() for path in (out / name).iterdir()}
        assert {path.name: path.read_bytes() for path in (tree / 'gtFine' / name).iterdir()} == pngs
    assert not list((tree / 'gtFine').glob('*.journal'))


def test_our_data_set_reads_them(tree):
    run('prepare_cityscapes', tree, '--jobs', 1)
    item = load('cityscapes_panoptic', 'train', tree)[1]
    assert item['img_path'].endswith('aachen/aachen_000001_000019_leftImg8bit.png')
    assert sorted(item['gt_seg_labels'].tolist()) == [0, 10, 11, 13, 13]  # no group: that is crowd
    segments = load('cityscapes_panoptic', 'val', tree)[0]['gt_panoptic_seg'].segments_info
    assert sum(segment['iscrowd'] for segment in segments) == 1 and len(segments) == 6


def test_resumes_after_a_broken_file(tree):
    broken = tree / 'gtFine/train/aachen/aachen_000001_000019_gtFine_instanceIds.png'
    good = broken.read_bytes()
    broken.write_bytes(good[:20])
    with pytest.raises(
        SystemExit, match="The file '.*aachen_000001_000019.*' cannot be read as an image .*get it again"
    ):
        run('prepare_cityscapes', tree, '--jobs', 1)
    assert not (tree / 'gtFine/cityscapes_panoptic_train.json').exists()
    done = times(tree / 'gtFine/cityscapes_panoptic_train')
    broken.write_bytes(good)
    cityscapes.convert_cityscapes(tree, ['train'], 1)
    assert len(done) == 1 and done.items() <= times(tree / 'gtFine/cityscapes_panoptic_train').items()
    assert len(json.loads((tree / 'gtFine/cityscapes_panoptic_train.json').read_text())['images']) == 3


def test_errors_name_file_and_fix(tree, monkeypatch):
    with pytest.raises(FileNotFoundError, match='train.* does not exist; unpack gtFine_trainvaltest.zip'):
        cityscapes.convert_cityscapes(tree / 'leftImg8bit', ['train'], 1)
    save(tree / 'gtFine/val/munster/munster_000000_000019_gtFine_instanceIds.png', np.full((8, 8), 77, np.uint16))
    with pytest.raises(DataError, match='munster_000000_000019.*label id .*77.*get gtFine again'):
        cityscapes.convert_cityscapes(tree, ['val'], 1)

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith('cityscapesscripts'):
            raise ModuleNotFoundError(f"No module named '{name}'", name='cityscapesscripts')
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(MissingPackageError, match="'cityscapesscripts' is missing; run `pip install city"):
        cityscapes.convert_cityscapes(tree, ['val'], 1)
