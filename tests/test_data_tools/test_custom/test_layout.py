"""What the converters for custom data share: split, images, layers, resuming after a stop, the README's config."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from pycocotools import mask as mask_utils

from mask2former.data_tools.custom.scene import Layer, Scene, instances_of_layers, paint
from mask2former.data_tools.custom.splits import assign_splits
from mask2former.datasets import dataset_metainfo
from mask2former.formats.rle import encode_mask
from mask2former.registry import DATASETS, TRANSFORMS
from tests.test_data_tools.kit import boxes, failure, picture, run, save
from tests.test_docs.test_custom_data import ROOT, readme_config

TOOL, SIZE = 'pngs_to_panoptic', (64, 64)
CATEGORIES = {
    1: dict(isthing=1, color=[10, 20, 30]),
    2: dict(isthing=0, color=[0, 0, 0]),
    5: dict(isthing=1, color=[10, 20, 30]),
}


def test_paint_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    for background in (None, 2):
        for _ in range(20):
            top = np.full((12, 15), '2 None' if background else '', dtype=object)
            layers, masks = [], {}
            for _ in range(6):
                y, x = rng.integers(0, 10, 2)
                mask = np.zeros((12, 15), bool)
                mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
                category, instance = rng.choice([None, 1, 2, 5], p=[0.1, 0.4, 0.2, 0.3]), int(rng.integers(3))
                layers.append(Layer(encode_mask(mask), category, instance))
                key = '' if category is None else f'{category} {instance if category != 2 else None}'
                top[mask] = key
                if category in (1, 5):
                    masks[key] = masks.get(key, False) | mask
            scene = Scene(b'', (12, 15), layers)
            ids, infos, covered = paint(scene, CATEGORIES, background)
            names = sorted({key for key in top.ravel() if key})
            assert len(infos) == len(names) and len({info['id'] for info in infos}) == len(names)
            found = sorted((info['category_id'], (ids == info['id']).tobytes()) for info in infos)
            assert found == sorted((int(key.split()[0]), (top == key).tobytes()) for key in names)
            assert ((ids == 0) == (top == '')).all()
            drawn = {
                key
                for key in (
                    f'{layer.category_id} {layer.instance if layer.category_id != 2 else None}'
                    for layer in layers
                    if layer.category_id is not None
                )
            }
            assert covered == len(drawn - set(names))
            whole = instances_of_layers(scene, CATEGORIES)
            assert sorted(mask_utils.decode(row['segmentation']).astype(bool).tobytes() for row in whole) == sorted(
                mask.tobytes() for mask in masks.values()
            )
            for row in whole:
                assert row['area'] == mask_utils.decode(row['segmentation']).sum()


def test_ids_are_near_the_colour_of_the_class():
    layers = [Layer(encode_mask(boxes((9, 9), _1=(row, 0, row + 1, 9)) > 0), 5, row) for row in range(9)]
    _, infos, _ = paint(Scene(b'', (9, 9), layers), CATEGORIES, None)
    colours = np.array([[info['id'] & 255, info['id'] >> 8 & 255, info['id'] >> 16] for info in infos])
    assert len(infos) == 9 and (abs(colours - [10, 20, 30]) <= 24).all()
    _, infos, covered = paint(Scene(b'', (9, 9), layers), CATEGORIES, 2)
    assert (len(infos), covered) == (9, 0), 'a background without pixels is no segment, and none that was covered'


def split(names, **given):
    return assign_splits(names, **{**dict(val_share=0.2, seed=0, val_list=None, split=None), **given})


def test_random_split():
    names = [f'{number}.jpg' for number in range(100)]
    first = split(names)
    assert first.count('val') == 20 and first == split(names)
    assert first != split(names, seed=1) and split(names, val_share=0.0).count('val') == 0
    more = split([*names, *(f'new{number}.jpg' for number in range(10))])
    assert sum(one != other for one, other in zip(first, more)) <= 4, 'new images hardly change the split'
    assert split(names[:2], val_share=0.01).count('val') == 1
    assert split(names, split='val') == ['val'] * 100


def test_split_from_a_list(tmp_path):
    (tmp_path / 'val.txt').write_text('b\n\nc.jpg\nd/e\n')
    names = ['a.jpg', 'b.jpg', 'c.jpg', 'd/e.png']
    assert split(names, val_list=tmp_path / 'val.txt') == ['train', 'val', 'val', 'val']
    with pytest.raises(ValueError, match="'c.jpg' of the list .*val.txt' is none of the images"):
        split(names[:2], val_list=tmp_path / 'val.txt')
    with pytest.raises(FileNotFoundError, match='--val-list'):
        split(names, val_list=tmp_path / 'no.txt')
    with pytest.raises(ValueError, match='A single one'):
        split(['a.jpg'])


@pytest.fixture
def tree(tmp_path):
    for number in range(4):
        picture(tmp_path / 'images' / f'{number}.jpg', SIZE, number)
        save(tmp_path / 'ids' / f'{number}.png', boxes(SIZE, _1=(8, 8, 30, 30), _2=(40, 10, 60, 50 + number)))
    return tmp_path


def convert(tree, *arguments):
    return run(TOOL, tree / 'images', tree / 'data' / 'mine', '--instances', tree / 'ids', '--jobs', 1, *arguments)


def test_resumes_where_it_stopped(tree):
    """Only what is not yet converted, or has changed since, is converted."""
    broken = tree / 'ids' / '3.png'
    sound = broken.read_bytes()
    broken.write_bytes(b'')
    arguments = (
        tree / 'images',
        tree / 'data' / 'mine',
        '--instances',
        tree / 'ids',
        '--jobs',
        1,
        '--split',
        'train',
        '--thing',
        'cell',
    )
    assert "3.png' cannot be read" in failure(TOOL, *arguments)
    folder = tree / 'data' / 'mine' / 'annotations'
    written = {path.name: path.stat().st_mtime_ns for path in (folder / 'panoptic_train').iterdir()}
    assert sorted(written) == ['0.png', '1.png', '2.png'] and not (folder / 'panoptic_train.json').exists()
    broken.write_bytes(sound)
    save(tree / 'ids' / '1.png', boxes(SIZE, _1=(0, 0, 5, 5)))
    run(TOOL, *arguments)
    changed = [
        path.name for path in (folder / 'panoptic_train').iterdir() if path.stat().st_mtime_ns != written.get(path.name)
    ]
    assert sorted(changed) == ['1.png', '3.png']
    areas = [
        [segment['area'] for segment in row['segments_info']]
        for row in json.loads((folder / 'panoptic_train.json').read_text())['annotations']
    ]
    assert areas == [[22 * 22, 20 * 40], [25], [22 * 22, 20 * 42], [22 * 22, 20 * 43]]
    assert not list(folder.glob('.*')), 'the journal is gone'


def test_other_classes_begin_again(tree):
    (tree / 'ids' / '3.png').write_bytes(b'')
    arguments = (tree / 'images', tree / 'out', '--instances', tree / 'ids', '--jobs', 1, '--split', 'train', '--thing')
    failure(TOOL, *arguments, 'cell')
    save(tree / 'ids' / '3.png', boxes(SIZE, _1=(0, 0, 5, 5)))
    run(TOOL, *arguments, 'dot', '--background', 'rest')
    content = json.loads((tree / 'out' / 'annotations' / 'panoptic_train.json').read_text())
    assert [len(row['segments_info']) for row in content['annotations']] == [3, 3, 3, 2]


def test_two_runs_for_two_splits(tree):
    convert(tree, '--thing', 'cell', '--split', 'train')
    assert 'name all classes in both runs' in failure(
        TOOL, tree / 'images', tree / 'data' / 'mine', '--instances', tree / 'ids', '--thing', 'dot', '--split', 'val'
    )
    convert(tree, '--thing', 'cell', '--split', 'val')
    assert {path.name for path in (tree / 'data' / 'mine' / 'annotations').iterdir()} == {
        f'{kind}_{split}{end}'
        for split in ('train', 'val')
        for kind, end in (('panoptic', ''), ('panoptic', '.json'), ('instances', '.json'))
    }


def test_the_result_is_not_written_into_the_source(tree):
    assert 'choose another' in failure(
        TOOL, tree / 'images', tree / 'images' / 'out', '--instances', tree / 'ids', '--thing', 'cell'
    )
    run(TOOL, tree / 'images', tree, '--instances', tree / 'ids', '--thing', 'cell', '--jobs', 1)  # beside it


def test_the_config_of_the_readme_reads_it(tree):
    convert(tree, '--thing', 'cell', '--background', 'rest')
    bases = (ROOT / 'configs' / '_base_').as_posix()
    (tree / 'mine.py').write_text(readme_config().replace("'_base_/", f"'{bases}/"))
    cfg = Config.fromfile(tree / 'mine.py')
    # The config crops for training, which may leave a segment out, and enlarges for testing.
    for loader, count, side in ((cfg.train_dataloader, 3, 320), (cfg.val_dataloader, 1, 512)):
        given = {**loader.dataset, 'data_root': str(tree / loader.dataset.data_root)}
        assert dataset_metainfo(given)['classes'] == ('cell', 'rest')
        dataset = DATASETS.build({**given, 'pipeline': [TRANSFORMS.build(step) for step in given['pipeline']]})
        assert len(dataset) == count
        for packed in dataset:
            sample = packed['data_samples']
            segments = sample.gt_segments.labels if 'gt_segments' in sample else sample.gt_panoptic_seg.segments_info
            assert 0 < len(segments) <= 3 and (side == 320 or len(segments) == 3)
            assert packed['inputs'].shape == (3, side, side)
            assert Path(sample.img_path).stem in '0123'
