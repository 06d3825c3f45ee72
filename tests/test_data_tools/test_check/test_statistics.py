"""The statistics, against independent computations on drawn and on real data."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from panopticapi.utils import rgb2id
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from scipy import ndimage

from mask2former.data_tools.check import Settings, check_splits, read_split
from mask2former.data_tools.check.measure import measure_map
from mask2former.data_tools.check.statistics import classes_of, facts_of
from mask2former.datasets import CocoInstanceFormat, CocoPanopticFormat, SemanticPngFormat
from mask2former.registry import DATASETS

EIGHT = np.ones((3, 3), int)


def expected_row(mask):
    """(area, x, y, width, height, pieces) of a mask, by NumPy and SciPy."""
    rows, columns = np.nonzero(mask)
    return (len(rows), columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1, ndimage.label(mask, EIGHT)[1])


def rows_of(segments):
    return [tuple(int(row[key]) for key in ('area', 'x', 'y', 'width', 'height', 'pieces')) for row in segments]


def test_measures_of_a_map():
    rng = np.random.default_rng(0)
    seg_map = np.kron(rng.integers(0, 7, (9, 11)), np.ones((4, 3), int)).astype(np.int32)
    seg_map[seg_map == 3] = 0
    measured = measure_map(seg_map, 7)
    for number in range(1, 8):
        if number in (3, 7):  # absent
            assert not any(rows_of(measured[number - 1 : number])[0])
        else:
            assert rows_of(measured[number - 1 : number]) == [expected_row(seg_map == number)]


def one_split(dataset, **settings):
    source = read_split(dataset, Settings('train', **settings))
    return check_splits([source], headers_only=False, jobs=2).splits[0]


def panoptic(root, split, seg, img):
    return CocoPanopticFormat(
        ann_file=f'annotations/panoptic_{split}.json',
        data_root=str(root),
        lazy_init=True,
        data_prefix=dict(img=img, seg=seg),
    )


def test_coco_panoptic(shared_data):
    root = shared_data / 'coco_panoptic_200'
    split = one_split(panoptic(root, 'train2017', 'annotations/panoptic_train2017/', 'train2017/'), num_queries=40)
    assert {problem.kind for problem in split.problems} == {'class without segment', 'more segments than queries'}
    raw = json.loads((root / 'annotations/panoptic_train2017.json').read_text())
    segments, pixels, images, loads, areas = Counter(), Counter(), Counter(), {}, []
    for index, annotation in enumerate(raw['annotations']):
        ids = rgb2id(np.array(Image.open(root / 'annotations/panoptic_train2017' / annotation['file_name'])))
        infos = annotation['segments_info']
        counts = [int((ids == info['id']).sum()) for info in infos]
        areas += counts
        for info, count in zip(infos, counts):
            segments[info['category_id']] += 1
            pixels[info['category_id']] += count
        images.update({info['category_id'] for info in infos})
        loads[annotation['image_id']] = sum(not info['iscrowd'] for info in infos)
        assert split.void_shares[annotation['image_id']] == pytest.approx(1 - sum(counts) / ids.size, abs=1e-12)
        if index < 10:
            found = split.image_reports[annotation['image_id']].segments
            assert rows_of(found) == [expected_row(ids == info['id']) for info in infos]
            assert [row[2:6] for row in map(tuple, found[['category', 'area', 'x', 'y', 'width', 'height']])] == [
                tuple(info['bbox']) for info in infos
            ]
    assert split.segments == segments and split.pixels == pixels and split.images == images
    assert split.num_learnt == loads and sorted(split.measured['area']) == sorted(areas)
    assert split.num_crowds == sum(info['iscrowd'] for a in raw['annotations'] for info in a['segments_info']) == 6
    facts = facts_of(split)
    most = max(loads, key=loads.get)
    assert facts['segments an image: least, median, most'] == (
        f'{min(loads.values())}, {np.median(list(loads.values())):g}, {loads[most]} (image {most})'
    )
    assert facts['images with more segments than queries'] == (
        f'{sum(load > 40 for load in loads.values())} (40 queries)'
    )
    areas = np.array(areas)
    shares = [np.mean(areas < 1024), np.mean((areas >= 1024) & (areas < 9216)), np.mean(areas >= 9216)]
    assert facts['small (< 32²), medium, large (≥ 96²)'] == ', '.join(f'{100 * share:.1f} %' for share in shares)
    assert facts['mask pixels: 1 %, 25 %, median, 75 %, 99 %'].split(', ')[2] == f'{np.median(areas):.0f}'


def test_coco_instances(shared_data):
    root = shared_data / 'coco_panoptic_200'
    path = root / 'annotations/instances_train2017.json'
    split = one_split(
        CocoInstanceFormat(ann_file=str(path), data_prefix=dict(img=str(root / 'train2017')), lazy_init=True)
    )
    assert {problem.kind for problem in split.problems} == {'class without segment', 'no annotation'}
    coco = COCO(path)
    covered = overlapped = 0
    pixels, rows = Counter(), []
    for image_id in coco.imgs:
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        masks = [coco.annToMask(annotation) for annotation in annotations]
        for annotation, mask in zip(annotations, masks):
            pixels[annotation['category_id']] += int(mask.sum())
        if image_id < 200:  # SciPy takes its time
            assert rows_of(split.image_reports[image_id].segments) == [expected_row(mask) for mask in masks]
            rows += masks
        layers = sum(
            (mask.astype(int) for annotation, mask in zip(annotations, masks) if not annotation['iscrowd']),
            np.zeros((coco.imgs[image_id]['height'], coco.imgs[image_id]['width']), int),
        )
        covered, overlapped = covered + (layers > 0).sum(), overlapped + (layers > 1).sum()
        anything = np.any(masks, axis=0) if masks else np.zeros(1)
        assert split.void_shares[image_id] == pytest.approx(1 - anything.mean(), abs=1e-12)
    assert len(rows) > 50 and split.pixels == pixels
    assert split.segments == Counter(a['category_id'] for a in coco.anns.values())
    assert overlapped > 0 and facts_of(split)['of the covered pixels in several instances'] == (
        f'{100 * overlapped / covered:.1f} %'
    )
    assert split.num_learnt == {image_id: len(coco.getAnnIds(image_id, iscrowd=False)) for image_id in coco.imgs}


def test_nuclei(shared_data):
    root = shared_data / 'dsb2018_nuclei'
    if not root.is_dir():
        pytest.skip(f"no nuclei: put them into '{root}'")
    raw = json.loads((root / 'annotations/instances_val.json').read_text())
    split = one_split(
        CocoInstanceFormat(
            ann_file='annotations/instances_val.json', data_root=str(root), lazy_init=True, data_prefix=dict(img='val/')
        ),
        num_queries=100,
        crop_size=(320, 320),
    )
    assert {problem.kind for problem in split.problems} == {'more segments than queries'}
    loads = Counter(annotation['image_id'] for annotation in raw['annotations'])
    assert split.num_learnt == loads
    over = sorted(image for image, load in loads.items() if load > 100)
    assert sorted(problem.image for problem in split.problems) == over and len(over) > 1
    areas = [int(mask_utils.area(annotation['segmentation'])) for annotation in raw['annotations']]
    assert sorted(split.measured['area']) == sorted(areas) and split.pixels == {1: sum(areas)}
    facts = facts_of(split)
    widths = [image['width'] for image in raw['images']]
    assert facts['image width: least, median, most'] == f'{min(widths)}, {np.median(widths):g}, {max(widths)}'
    small = sum(image['width'] < 320 or image['height'] < 320 for image in raw['images'])
    assert facts['smaller than the crop at a side'] == f'{small} (320 x 320, before any resizing)'


def test_camvid(shared_data):
    root = shared_data / 'camvid'
    if not root.is_dir():
        pytest.skip(f"no CamVid: put it into '{root}'")
    names = (
        'sky',
        'building',
        'pole',
        'road',
        'pavement',
        'tree',
        'signsymbol',
        'fence',
        'car',
        'pedestrian',
        'bicyclist',
    )
    split = one_split(
        SemanticPngFormat(
            data_root=str(root),
            data_prefix=dict(img='val/', seg='semantic_val/'),
            label_map=dict(enumerate(names)),
            lazy_init=True,
        ),
        num_queries=10,
    )
    pixels, images, voids, over = Counter(), Counter(), {}, []
    for path in sorted((root / 'semantic_val').iterdir()):
        values, counts = np.unique(np.array(Image.open(path)), return_counts=True)
        counts = dict(zip(values.tolist(), counts.tolist()))
        voids[path.stem] = counts.pop(255, 0) / (360 * 480)
        pixels.update(counts)
        images.update(set(counts))
        over += [path.stem] if len(counts) > 10 else []
    assert split.pixels == pixels and split.images == images and not split.unknown_values
    assert split.void_shares == pytest.approx(voids, abs=1e-12)
    assert sorted(problem.image for problem in split.problems) == over and over
    rows = classes_of(split)
    assert [row['name'] for row in rows[:2]] == ['road', 'building']
    assert sum(row['share'] for row in rows) == pytest.approx(1)
    assert rows[0]['share'] == pixels[3] / sum(pixels.values())


@pytest.mark.parametrize(
    'name',
    ['ade20k_semantic', 'ade20k_full_semantic', 'cityscapes_semantic', 'mapillary_semantic', 'coco_stuff10k_semantic'],
)
def test_known_semantic_sets_can_be_checked(name, tmp_path):
    """One image below the folders, with the suffixes and with the ids of each set."""
    configs = Path(__file__).resolve().parents[3] / 'configs' / '_base_' / 'datasets'
    cfg = Config.fromfile(configs / f'{name}.py').train_dataloader.dataset
    dataset = DATASETS.build(
        dict(cfg, type=f'mask2former.{cfg.type}', data_root=str(tmp_path), pipeline=[], lazy_init=True)
    )
    table = dataset.label_table
    known, void = np.flatnonzero(table >= 0), np.flatnonzero(table == -1)
    values = np.resize(known, (40, 40)).astype(np.uint16 if len(table) > 256 else np.uint8)
    values[-1] = void[-1]
    for folder in dataset.data_prefix.values():
        Path(folder, 'below').mkdir(parents=True)
    Image.new('RGB', (40, 40)).save(Path(dataset.data_prefix['img'], 'below', f'a{dataset.img_suffix[0]}'))
    Image.fromarray(values).save(Path(dataset.data_prefix['seg'], 'below', f'a{dataset.seg_map_suffix}'))
    split = one_split(dataset)
    assert not split.problems
    assert sum(split.pixels.values()) == 39 * 40 and split.void_shares == {'below/a': 1 / 40}
    assert split.pixels == Counter(table[values[:-1]].ravel().tolist())
