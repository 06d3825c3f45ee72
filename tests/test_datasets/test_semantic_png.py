import json

import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from mask2former.datasets import SemanticPngFormat, dataset_metainfo
from mask2former.datasets.transforms import LoadImage, LoadSemanticGroundTruth, LoadSemanticSegments, PackSegInputs
from mask2former.errors import DataError
from mask2former.evaluation.semantic_iou import SemanticIoU
from mask2former.models.data_preprocessor import form_masks
from mask2former.registry import DATASETS

LABEL_MAP = {7: 'road', 3: 'sky', 9: 'road', 200: 'car'}


def write(root, name, values, **save):
    """An image and its class-id PNG, ``name`` with slashes and without suffix."""
    values = np.asarray(values)
    for folder in ('img', 'png'):
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*values.shape, 3), 90, np.uint8)).save(root / f'img/{name}.jpg')
    Image.fromarray(values).save(root / f'png/{name}.png', **save)


@pytest.fixture
def root(tmp_path):
    """Image ``a``: void (255), two values of road, sky. Image ``b/c``: car. No image has all classes."""
    values = np.full((12, 16), 255, np.uint8)
    values[2:5], values[5:8], values[8:, 3:] = 7, 9, 3
    write(tmp_path, 'a', values)
    write(tmp_path, 'b/c', np.full((12, 16), 200, np.uint8))
    return tmp_path


def config(root, **changes):
    return dict(
        type='SemanticPngFormat',
        data_root=str(root),
        data_prefix=dict(img='img/', seg='png/'),
        label_map=LABEL_MAP,
        **changes,
    )


def load(item):
    return LoadSemanticSegments().transform(LoadImage().transform(item))


def truth_of(item):
    return LoadSemanticGroundTruth().transform(LoadImage().transform(item))['gt_sem_seg']


def test_items_and_metainfo(root):
    dataset = DATASETS.build(config(root))
    assert isinstance(dataset, SemanticPngFormat)
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == ['a', 'b/c']
    item = dataset.get_data_info(1)
    assert item['img_path'].endswith('img/b/c.jpg') and item['seg_map_path'].endswith('png/b/c.png')
    assert dataset.metainfo['classes'] == ('road', 'sky', 'car') and dataset.metainfo['isthing'] == (False,) * 3
    assert {key: dataset.metainfo[key] for key in dataset_metainfo(config(root))} == dataset_metainfo(config(root))


def test_each_class_is_one_segment(root):
    values = np.asarray(Image.open(root / 'png/a.png'))
    results = load(DATASETS.build(config(root)).get_data_info(0))
    seg_map, labels = results['gt_seg_map'], results['gt_seg_labels']
    assert seg_map.dtype == np.uint8 and labels.dtype == np.int64 and labels.tolist() == [0, 1]
    assert ((seg_map == 1) == ((values == 7) | (values == 9))).all()
    assert ((seg_map == 2) == (values == 3)).all() and ((seg_map == 0) == (values == 255)).all()
    sample = PackSegInputs().transform(results)['data_samples']
    form_masks(sample)
    assert sample.gt_segments.masks.sum((1, 2)).tolist() == [96, 52]


def test_ground_truth_has_the_original_size(root):
    pipeline = Compose([LoadImage(), dict(type='Resize', scale=(32, 24)), LoadSemanticGroundTruth(), PackSegInputs()])
    packed = pipeline(DATASETS.build(config(root)).get_data_info(0))
    truth = packed['data_samples'].gt_sem_seg
    values = np.asarray(Image.open(root / 'png/a.png'))
    assert packed['inputs'].shape == (3, 24, 32) and truth.sem_seg.shape == (1, 12, 16) and truth.ignore_index == -1
    expected = np.select([values == 7, values == 9, values == 3], [0, 0, 1], -1)
    assert (truth.sem_seg[0].numpy() == expected).all()


def test_metric_of_a_perfect_and_of_a_half_result(root):
    dataset = DATASETS.build(config(root))
    for wrong, expected in ((0, 100.0), (3, 50.0)):
        metric = SemanticIoU()
        metric.dataset_meta = dataset.metainfo
        truth = truth_of(dataset.get_data_info(1))
        labels = truth.sem_seg.clone().int()
        labels[:, : 2 * wrong] = 1
        metric.process(None, [dict(gt_sem_seg=truth.to_dict(), pred_sem_seg=dict(sem_seg=labels))])
        assert metric.evaluate(1)['mIoU'] == expected


def test_chosen_classes(root):
    part = dict(classes=('car', 'road'))
    cfg = {**config(root, metainfo=part), 'label_map': None, 'ann_file': _categories(root, images=False)}
    results = load(DATASETS.build(cfg).get_data_info(0))
    values = np.asarray(Image.open(root / 'png/a.png'))
    assert results['gt_seg_labels'].tolist() == [1] and ((results['gt_seg_map'] == 1) == (values == 7)).all()


def _categories(root, images=True):
    rows = ((7, 'road', [1, 2, 3]), (3, 'sky', [4, 5, 6]), (9, 'path', [7, 8, 9]), (200, 'car', [0, 1, 0]))
    content = dict(categories=[dict(id=id_, name=name, color=color) for id_, name, color in rows])
    content['categories'][3]['isthing'] = 1
    if images:
        content['images'] = [dict(file_name='b/c.jpg')]
    (root / 'classes.json').write_text(json.dumps(content))
    return 'classes.json'


def test_classes_colours_things_and_images_from_a_file(root):
    dataset = DATASETS.build({**config(root), 'label_map': None, 'ann_file': _categories(root)})
    assert dataset.metainfo['classes'] == ('road', 'sky', 'path', 'car')
    assert dataset.metainfo['isthing'] == (False, False, False, True)
    assert dataset.metainfo['palette'][:2] == [(1, 2, 3), (4, 5, 6)]
    assert len(dataset) == 1 and dataset.get_data_info(0)['img_id'] == 'b/c'


@pytest.mark.parametrize('line', ['b/c', 'b/c.jpg'])
def test_images_from_a_text_file(root, line):
    (root / 'split.txt').write_text(f'{line}\n\n')
    dataset = DATASETS.build(config(root, ann_file='split.txt'))
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == ['b/c']


def test_palette_png_has_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode='P')
    image.putpalette([9, 9, 9, 8, 8, 8, 9, 9, 9])  # two indices of one colour: colours do not tell
    write(tmp_path, 'a', np.zeros((2, 2), np.uint8))
    image.save(tmp_path / 'png/a.png')
    dataset = DATASETS.build({**config(tmp_path), 'label_map': {0: 'x', 1: 'y', 2: 'z'}})
    assert truth_of(dataset.get_data_info(0)).sem_seg[0].tolist() == [[0, 1], [2, 1]]


def test_16_bit_and_many_classes(tmp_path):
    values = np.arange(400, dtype=np.uint16).reshape(20, 20)
    values[0, 0] = 65535
    write(tmp_path, 'a', values)
    dataset = DATASETS.build({**config(tmp_path, ignore_index=65535), 'label_map': {i: str(i) for i in range(1, 500)}})
    results = load(dataset.get_data_info(0))
    assert results['gt_seg_map'].dtype == np.uint16 and (results['gt_seg_map'].ravel() == np.arange(400)).all()
    assert results['gt_seg_labels'].tolist() == list(range(399))


def test_values_are_never_guessed(root):
    for changes, message in (
        (dict(ignore_index=None), r'a.png.* has the values \[255\], which no class has'),
        (dict(ignore_index=254), r'has the values \[255\]'),
    ):
        with pytest.raises(DataError, match=message):
            load(DATASETS.build(config(root, **changes)).get_data_info(0))
    write(root, 'd', np.full((4, 4), 256, np.uint16))  # beyond the table
    with pytest.raises(DataError, match=r'd.png.* has the values \[256\]'):
        load(DATASETS.build(config(root)).get_data_info(2))
    with pytest.raises(DataError, match="The value 7 is in ignore_index, but it is the class 'road'"):
        DATASETS.build(config(root, ignore_index=(255, 7)))
    with pytest.raises(DataError, match="value 200 the class 'car', which is no class"):
        DATASETS.build(config(root, metainfo=dict(classes=('road', 'sky'), category_ids=(7, 3))))
    with pytest.raises(DataError, match='lacks category_ids; give metainfo'):
        dataset_metainfo({**config(root, metainfo=dict(classes=('road', 'sky'))), 'label_map': None})


def test_wrong_files(root):
    item = DATASETS.build(config(root)).get_data_info(0)
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(root / 'png/rgb.png')
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(root / 'png/small.png')
    (root / 'png/broken.png').write_bytes(b'no image')
    for name, error, message in (
        ('rgb', DataError, 'rgb.png.* has 3 channels'),
        ('small', DataError, 'small.png.* is 5 x 6'),
        ('broken', DataError, 'broken.png.* cannot be read'),
        ('nope', FileNotFoundError, 'nope.png.* does not exist'),
    ):
        with pytest.raises(error, match=message):
            load({**item, 'seg_map_path': str(root / f'png/{name}.png')})
    (root / 'png/a.png').unlink()
    with pytest.raises(DataError, match="img/a.jpg' has no .*png/a.png'; add it"):
        DATASETS.build(config(root))
    with pytest.raises(DataError, match="no data_prefix 'sge'; did you mean 'seg'"):
        DATASETS.build({**config(root), 'data_prefix': dict(sge='png/')})
    with pytest.raises(DataError, match='SemanticPngFormat takes no filter_cfg'):
        DATASETS.build(config(root, filter_cfg=dict(filter_empty_gt=True)))
    with pytest.raises(TypeError, match='data_rot'):
        DATASETS.build(config(root, data_rot=''))
    with pytest.raises(FileNotFoundError, match='nowhere'):
        DATASETS.build({**config(root), 'data_prefix': dict(img='nowhere/')})
    with pytest.raises(DataError, match='has no image that ends with .bmp'):
        DATASETS.build(config(root, img_suffix='.bmp'))


def test_test_set_without_annotations(root):
    cfg = {**config(root), 'data_prefix': dict(img='img/', seg='nowhere/')}
    with pytest.raises(FileNotFoundError, match='nowhere'):
        DATASETS.build(cfg)
    dataset = DATASETS.build({**cfg, 'test_mode': True})
    assert (truth_of(dataset.get_data_info(0)).sem_seg == -1).all()


def test_real_data(shared_data):
    root = shared_data / 'camvid'
    if not root.is_dir():
        pytest.skip(f"no CamVid: put it into '{root}'")
    dataset = SemanticPngFormat(
        data_root=str(root),
        data_prefix=dict(img='test/', seg='semantic_test/'),
        label_map={value: str(value) for value in range(11)},
    )
    assert len(dataset) == 233
    truth = truth_of(dataset.get_data_info(0)).sem_seg[0].numpy()
    values = np.asarray(Image.open(dataset.get_data_info(0)['seg_map_path']))
    assert truth.shape == (360, 480) and (truth == np.where(values == 255, -1, values.astype(int))).all()
