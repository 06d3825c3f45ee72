"""The shapes data set: what is on disk is valid, consistent, reproducible and worth learning."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from panopticapi.utils import rgb2id
from PIL import Image
from pycocotools.coco import COCO

from mask2former.data_tools.shapes import generate_shapes
from mask2former.data_tools.shapes.generate import SPLITS
from mask2former.data_tools.shapes.scene import CATEGORIES, MIN_AREA, draw_scene
from tests.forked import run_forked

COUNTS = dict(train=24, val=6)
SIZE = (96, 128)
THINGS = {category['id'] for category in CATEGORIES if category['isthing']}


def read_json(path):
    return json.loads(Path(path).read_text(encoding='utf-8'))


def read_ids(root, split, annotation):
    return rgb2id(np.array(Image.open(root / 'annotations' / f'panoptic_{split}' / annotation['file_name'])))


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shapes')
    assert generate_shapes(folder, num_train=COUNTS['train'], num_val=COUNTS['val'], size=SIZE, seed=3)
    return folder


@pytest.mark.parametrize('split', SPLITS)
def test_panoptic_files_agree(root, split):
    annotations = read_json(root / 'annotations' / f'panoptic_{split}.json')
    assert annotations['categories'] == list(CATEGORIES)
    assert len(annotations['images']) == len(annotations['annotations']) == COUNTS[split]
    for image, annotation in zip(annotations['images'], annotations['annotations']):
        assert image['id'] == annotation['image_id']
        assert (image['height'], image['width']) == SIZE
        assert cv2.imread(str(root / split / image['file_name'])).shape == (*SIZE, 3)
        ids = read_ids(root, split, annotation)
        infos = annotation['segments_info']
        assert {info['id'] for info in infos} == set(np.unique(ids)), 'ids differ, or there is void'
        assert len({info['id'] for info in infos}) == len(infos) and min(info['id'] for info in infos) > len(infos)
        grounds = [info['category_id'] for info in infos if info['category_id'] not in THINGS]
        assert len(set(grounds)) == len(grounds) and 2 <= len(grounds) <= 4
        assert 2 <= len(infos) - len(grounds) <= 7
        for info in infos:
            y, x = np.nonzero(ids == info['id'])
            assert info['area'] == len(x) and info['iscrowd'] == 0
            assert info['bbox'] == [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
            if info['category_id'] in THINGS:
                assert info['area'] >= MIN_AREA * min(SIZE) ** 2


@pytest.mark.parametrize('split', SPLITS)
def test_instances_are_the_panoptic_things(root, split):
    coco = COCO(str(root / 'annotations' / f'instances_{split}.json'))
    assert set(coco.getCatIds()) == THINGS
    panoptic = read_json(root / 'annotations' / f'panoptic_{split}.json')
    assert [image['id'] for image in panoptic['images']] == coco.getImgIds()
    for annotation in panoptic['annotations']:
        ids = read_ids(root, split, annotation)
        things = [info for info in annotation['segments_info'] if info['category_id'] in THINGS]
        instances = coco.loadAnns(coco.getAnnIds(imgIds=annotation['image_id']))
        assert len(instances) == len(things)
        for info, instance in zip(things, instances):
            assert isinstance(instance['segmentation']['counts'], str)
            assert np.array_equal(coco.annToMask(instance).astype(bool), ids == info['id'])
            assert all(info[key] == instance[key] for key in ('category_id', 'area', 'bbox', 'iscrowd'))


def test_images_do_not_depend_on_counts_or_workers(root, tmp_path):
    generate_shapes(tmp_path, num_train=3, num_val=2, size=SIZE, seed=3, num_workers=2)
    fewer, more = contents(tmp_path), contents(root)
    pictures = [name for name in fewer if not name.endswith('.json')]
    assert len(pictures) == 10
    assert all(fewer[name] == more[name] for name in pictures)
    assert len({more[f'train/{index:06d}.jpg'] for index in range(24)} | {more['val/000000.jpg']}) == 25


def test_same_bytes_again_and_others_with_another_seed(root, tmp_path):
    generate_shapes(tmp_path / 'same', num_train=24, num_val=6, size=SIZE, seed=3, num_workers=2)
    assert contents(tmp_path / 'same') == contents(root)
    generate_shapes(tmp_path / 'other', num_train=1, num_val=0, size=SIZE, seed=4)
    assert contents(tmp_path / 'other')['train/000000.jpg'] != contents(root)['train/000000.jpg']


def test_scenes_show_every_class_and_things_hide_each_other():
    seen, grounds, touching = set(), [], 0
    for index in range(60):
        scene = draw_scene(np.random.default_rng(index))
        assert np.array_equal(np.unique(scene.segment_map), np.arange(len(scene.category_ids)))
        seen.update(scene.category_ids)
        grounds.append(sum(category_id not in THINGS for category_id in scene.category_ids))
        thing = np.isin(np.array(scene.category_ids), list(THINGS))[scene.segment_map]
        left, right = scene.segment_map[:, :-1], scene.segment_map[:, 1:]
        touching += np.any((left != right) & thing[:, :-1] & thing[:, 1:])
    assert seen == {category['id'] for category in CATEGORIES}
    assert set(grounds) == {2, 3, 4}
    assert touching > 15


def test_picture_and_map_agree():
    """Colours jump where segments meet, much more than inside of them."""
    scene = draw_scene(np.random.default_rng(0), (256, 256))
    smooth = cv2.GaussianBlur(scene.image, (0, 0), 2).astype(np.float32)
    step = np.abs(smooth[:, 2:] - smooth[:, :-2]).sum(axis=2)
    border = scene.segment_map[:, 2:] != scene.segment_map[:, :-2]
    assert step[border].mean() > 3 * step[~border].mean()


def test_scene_looks_alike_at_another_size():
    small, large = (draw_scene(np.random.default_rng(5), (side, side)) for side in (128, 256))
    assert small.category_ids == large.category_ids
    assert np.mean(small.segment_map == large.segment_map[::2, ::2]) > 0.97


def test_complete_set_is_left_alone_and_broken_one_is_mended(tmp_path, capsys):
    arguments = dict(num_train=2, num_val=1, size=(32, 32))
    assert generate_shapes(tmp_path, **arguments)
    before = contents(tmp_path)
    assert not generate_shapes(tmp_path, **arguments)
    assert 'nothing to do' in capsys.readouterr().out

    (tmp_path / 'train' / '000001.jpg').unlink()
    assert generate_shapes(tmp_path, **arguments)
    assert contents(tmp_path) == before

    (tmp_path / 'shapes.json').write_text('{"version":')  # torn
    (tmp_path / 'val' / '000000.jpg').write_bytes(b'')
    assert generate_shapes(tmp_path, **arguments)
    assert contents(tmp_path) == before


def test_interrupted_run_leaves_no_stamp(tmp_path, monkeypatch):
    import mask2former.data_tools.shapes.generate as module

    arguments = dict(num_train=2, num_val=2, size=(32, 32))
    generate_shapes(tmp_path, **arguments)
    (tmp_path / 'val' / '000001.jpg').unlink()

    def draw(rng, size):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, 'draw_scene', draw)
        with pytest.raises(KeyboardInterrupt):
            generate_shapes(tmp_path, **arguments)
    assert not (tmp_path / 'shapes.json').exists()
    assert generate_shapes(tmp_path, **arguments)
    assert (tmp_path / 'val' / '000001.jpg').exists()


def test_other_parameters_are_refused(tmp_path):
    generate_shapes(tmp_path, num_train=1, num_val=0, size=(32, 32))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match='other parameters'):
        generate_shapes(tmp_path, num_train=1, num_val=0, size=(32, 32), seed=1)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    'name, value', [('num_train', -1), ('num_val', -1), ('size', (16, 64)), ('seed', -1), ('num_workers', 0)]
)
def test_bad_arguments_name_themselves(tmp_path, name, value):
    with pytest.raises(ValueError, match=name):
        generate_shapes(tmp_path, **{'num_train': 1, 'num_val': 1, name: value})
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path):
    script = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'make_shapes.py'
    command = [script, tmp_path, '--num-train', '2', '--num-val', '1', '--size', '32', '48']
    done = run_forked(*command)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / 'val' / '000000.jpg').size == (48, 32)
    assert f'{tmp_path} has 2 images for training and 1 for validation.' in done.stdout
    assert 'train: 100%' in done.stderr and '\r' not in done.stderr
    refused = run_forked(*command, '--seed', '7')
    assert refused.returncode == 1 and refused.stderr.startswith('Error: ') and 'Traceback' not in refused.stderr
