"""Classes of the known data sets against the lists of other projects, and what their files have of their own."""

import json
from collections import Counter
from pathlib import Path

import mmdet.datasets
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as CITYSCAPES_LABELS
from mmengine.config import Config
from PIL import Image

from mask2former.datasets import (
    OVIS,
    ADE20KFull,
    ADE20KInstance,
    ADE20KPanoptic,
    ADE20KSemantic,
    CityscapesPanoptic,
    CityscapesSemantic,
    CocoStuff10k,
    LVISInstance,
    MapillaryPanoptic,
    MapillarySemantic,
    YouTubeVIS2019,
    YouTubeVIS2021,
    dataset_metainfo,
)
from mask2former.datasets.transforms import LoadImage, LoadPanopticSegments, LoadSemanticSegments
from mask2former.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
# Number of classes and of things (MODEL_ZOO.md and register_*.py of facebookresearch/Mask2Former; LVIS v1).
COUNTS = {
    ADE20KPanoptic: (150, 100),
    ADE20KSemantic: (150, 100),
    ADE20KInstance: (100, 100),
    ADE20KFull: (847, 0),
    CityscapesPanoptic: (19, 8),
    CityscapesSemantic: (19, 8),
    MapillaryPanoptic: (65, 37),
    MapillarySemantic: (65, 37),
    CocoStuff10k: (171, 80),
    LVISInstance: (1203, 1203),
    YouTubeVIS2019: (40, 40),
    YouTubeVIS2021: (40, 40),
    OVIS: (25, 25),
}


@pytest.mark.parametrize('cls', COUNTS, ids=lambda cls: cls.__name__)
def test_counts(cls):
    info = dataset_metainfo(dict(type=cls.__name__, ann_file='absent'))  # no file is read
    assert {key: len(value) for key, value in info.items()} == dict.fromkeys(info, COUNTS[cls][0])
    assert sum(info['isthing']) == COUNTS[cls][1]
    assert len(set(info['classes'])) == len(set(info['category_ids'])) == COUNTS[cls][0]
    assert all(name == name.strip() and name for name in info['classes'])
    assert all(len(colour) == 3 and max(colour) < 256 for colour in info['palette'])


def test_cityscapes_as_cityscapesscripts():
    evaluated = [label for label in CITYSCAPES_LABELS if not label.ignoreInEval]
    info = CityscapesPanoptic.METAINFO
    assert list(zip(info['classes'], info['category_ids'], info['isthing'], info['palette'])) == [
        (label.name, label.id, label.hasInstances, label.color) for label in evaluated
    ]


def test_ade20k_as_mmdet():
    theirs = mmdet.datasets.ADE20KPanopticDataset.METAINFO
    ours = ADE20KPanoptic.METAINFO
    # A colour and a name may differ in places: mmdet's list is of the objectInfo150 names, ours of the reference's.
    assert sum(ours['isthing']) == len(theirs['thing_classes']) == 100
    assert ours['category_ids'] == tuple(range(150)) and ADE20KSemantic.METAINFO['category_ids'] == tuple(range(1, 151))
    theirs = mmdet.datasets.ADE20KInstanceDataset.METAINFO
    assert ADE20KInstance.METAINFO['classes'] == theirs['classes']
    things = [id_ for id_, thing in zip(ours['category_ids'], ours['isthing']) if thing]
    assert list(ADE20KInstance.METAINFO['category_ids']) == things


def test_coco_stuff_as_mmdet():
    assert CocoStuff10k.METAINFO['classes'] == mmdet.datasets.CocoSegDataset.METAINFO['classes']


def test_lvis_as_mmdet_and_detectron2():
    assert LVISInstance.METAINFO['classes'] == mmdet.datasets.LVISV1Dataset.METAINFO['classes']
    name_of = dict(zip(LVISInstance.METAINFO['category_ids'], LVISInstance.METAINFO['classes']))
    # Some of detectron2/data/datasets/lvis_v1_categories.py.
    assert [name_of[i] for i in (1050, 1058, 1060, 1077, 1105, 1115, 1132)] == [
        'table',
        'army_tank',
        'tank_top_(clothing)',
        'television_set',
        'cover',
        'train_(railroad_vehicle)',
        'typewriter',
    ]


def test_cityscapes_panoptic_as_its_script_writes_it(tmp_path):
    """A car, two persons of which one is a group, road, and a void label, written by cityscapesscripts itself."""
    pytest.importorskip('pyquaternion', reason="cityscapesscripts' own script imports it")
    from cityscapesscripts.preparation import createPanopticImgs as panoptic_script

    name = 'aachen_000000_000019'
    ids = np.zeros((32, 64), np.uint16)
    ids[:8], ids[8:16], ids[16:20, :9], ids[20:24, 5:20], ids[24:] = 7, 26001, 24000, 24, 4
    (tmp_path / 'gtFine/train/aachen').mkdir(parents=True)
    (tmp_path / 'leftImg8bit/train/aachen').mkdir(parents=True)
    Image.fromarray(ids).save(tmp_path / f'gtFine/train/aachen/{name}_gtFine_instanceIds.png')
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(tmp_path / f'leftImg8bit/train/aachen/{name}_leftImg8bit.png')
    panoptic_script.convert2panoptic(
        cityscapesPath=str(tmp_path / 'gtFine'), outputFolder=str(tmp_path / 'gtFine'), setNames=['train']
    )
    cfg = dict(
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_root=str(tmp_path),
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/'),
    )

    def counts(metainfo):
        dataset = CityscapesPanoptic(**cfg, metainfo=metainfo)
        results = LoadPanopticSegments().transform(LoadImage().transform(dataset.get_data_info(0)))
        areas = Counter(results['gt_seg_map'].ravel().tolist())
        classes = [dataset.metainfo['classes'][label] for label in results['gt_seg_labels']]
        return sorted((name, areas[i + 1]) for i, name in enumerate(classes))

    assert counts(None) == [('car', 512), ('person', 36), ('road', 512)]  # the group and the void label are void
    assert counts(dict(classes=('person', 'car'))) == [('car', 512), ('person', 36)]  # as configs/cityscapes/instance


def test_cityscapes_semantic_as_cityscapesscripts(tmp_path):
    """Each value of ``labelIds`` is the class of its train id, or void, in the config's data set."""
    values = np.arange(34, dtype=np.uint8).reshape(2, 17)
    for folder, suffix, array in (
        ('leftImg8bit/train/x', 'leftImg8bit', np.zeros((2, 17, 3), np.uint8)),
        ('gtFine/train/x', 'gtFine_labelIds', values),
    ):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / folder / f'x_0_1_{suffix}.png')
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/cityscapes_semantic.py').train_dataloader.dataset
    cfg.update(data_root=str(tmp_path), pipeline=[])
    cfg.pop('type')
    results = LoadSemanticSegments().transform(LoadImage().transform(CityscapesSemantic(**cfg).get_data_info(0)))
    labels = np.concatenate([[-1], results['gt_seg_labels']])[results['gt_seg_map']]
    train_id = {label.id: -1 if label.ignoreInEval else label.trainId for label in CITYSCAPES_LABELS}
    assert labels.ravel().tolist() == [train_id[value] for value in range(34)]


def test_lvis_images(tmp_path):
    image = dict(id=5, height=4, width=6, coco_url='http://images.cocodataset.org/val2017/000000000005.jpg')
    content = dict(images=[image], annotations=[], categories=[dict(id=1060, name='tank_top_(clothing)')])
    (tmp_path / 'lvis.json').write_text(json.dumps(content))
    dataset = LVISInstance(ann_file='lvis.json', data_root=str(tmp_path))
    assert dataset.get_data_info(0)['img_path'] == f'{tmp_path}/val2017/000000000005.jpg'
    content['categories'][0]['name'] = 'tank top'
    (tmp_path / 'lvis.json').write_text(json.dumps(content))
    with pytest.raises(DataError, match="1060 of .* is 'tank top'"):
        LVISInstance(ann_file='lvis.json', data_root=str(tmp_path))
