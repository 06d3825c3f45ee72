"""Real scenes of COCO in the files of Cityscapes, and wrong predictions of them."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from PIL import Image

from mask2former.registry import DATASETS

from .samples import instances, panoptic

ROOT = Path(__file__).parents[2]
# Label ids of the classes of COCO; all others are 'static' (4). 29 and 30 are instances that are not evaluated.
LABEL_IDS = {
    'person': 24,
    'car': 26,
    'truck': 27,
    'bus': 28,
    'train': 31,
    'motorcycle': 32,
    'bicycle': 33,
    'chair': 25,
    'wine glass': 32,
    'cup': 33,
    'bottle': 27,
    'book': 28,
    'bowl': 31,
    'tie': 30,
    'dining table': 29,
    'wall-other-merged': 12,
    'sky-other-merged': 23,
    'tree-merged': 21,
    'grass-merged': 22,
    'house': 11,
    'building-other-merged': 11,
    'road': 7,
    'floor-other-merged': 7,
    'pavement-merged': 8,
    'table-merged': 13,
    'ceiling-merged': 17,
    'window-other': 20,
    'light': 19,
    'door-stuff': 9,
    'rug-merged': 0,
}


def write_scenes(split, count, root):
    """Write the first ``count`` images of a PanopticSplit as Cityscapes' val set.

    Every twelfth thing is a group, as are COCO's crowds. The panoptic files are made by cityscapesscripts.
    """
    from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic

    truth, images = root / 'gtFine/val/aachen', root / 'leftImg8bit/val/aachen'
    truth.mkdir(parents=True)
    images.mkdir(parents=True)
    things = 0
    for place in range(count):
        ids = np.zeros(split.maps[place].shape, dtype=np.uint16)
        for segment in split.annotations[place]['segments_info']:
            category = split.categories[segment['category_id']]
            number = LABEL_IDS.get(category['name'], 4)
            if number >= 24:
                things += 1
                if not segment['iscrowd'] and things % 12:
                    number = number * 1000 + things % 1000
            ids[split.maps[place] == segment['id']] = number
        frame = f'aachen_{place:06d}_000019'
        Image.fromarray(ids).save(truth / f'{frame}_gtFine_instanceIds.png')
        labels = np.where(ids < 1000, ids, ids // 1000).astype(np.uint8)
        Image.fromarray(labels).save(truth / f'{frame}_gtFine_labelIds.png')
        Image.fromarray(np.zeros((*ids.shape, 3), np.uint8)).save(images / f'{frame}_leftImg8bit.png')
    convert2panoptic(str(root / 'gtFine'), str(root / 'gtFine'), setNames=['val'])


def read_scenes(root):
    """Return the data set of the config, without resizing, and its samples."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/cityscapes_panoptic.py').val_dataloader.dataset
    cfg.update(data_root=str(root))
    cfg.pipeline = [step for step in cfg.pipeline if step.type != 'Resize']
    with DefaultScope.overwrite_default_scope('mask2former'):
        dataset = DATASETS.build(cfg)
    return dataset, [dataset[place]['data_samples'] for place in range(len(dataset))]


def disturb(sample, root, meta, rng):
    """Add predictions to a sample: its ground truth moved, lost, doubled and misnamed."""
    things = [label for label, thing in enumerate(meta['isthing']) if thing]
    # Instances: from instanceIds, such that groups and what is not evaluated are predicted too.
    frame = Path(sample.img_path).name.removesuffix('_leftImg8bit.png')
    ids = np.array(Image.open(root / f'gtFine/val/aachen/{frame}_gtFine_instanceIds.png')).astype(int)
    labels, masks = [], []
    for number in np.unique(ids).tolist():
        value = number // 1000 if number >= 1000 else number
        for _ in range(rng.choice([0, 1, 1, 2])):
            mask = np.roll(ids == number, rng.integers(-5, 6, size=2), axis=(0, 1))
            if value in meta['category_ids'] and rng.random() < 0.8:
                labels.append(meta['category_ids'].index(value))
            else:
                labels.append(int(rng.choice(things)))
            masks.append(mask)
    masks = np.array(masks, dtype=bool).reshape(-1, *ids.shape)
    scores = np.round(rng.random(len(labels)), 2)  # such that some are equal
    sample.pred_instances = instances(labels, scores, masks)

    segments = [
        dict(id=s['id'], label=s['label'], isthing=s['isthing'], score=0.5)
        for s in sample.gt_panoptic_seg.segments_info
        if rng.random() < 0.9
    ]
    moved = np.roll(sample.gt_panoptic_seg.id_map[0].numpy(), rng.integers(-5, 6, size=2), axis=(0, 1))
    segments = [s for s in segments if (moved == s['id']).any()]
    moved[~np.isin(moved, [s['id'] for s in segments])] = 0
    for segment in segments:
        if rng.random() < 0.15:
            segment['label'] = int(rng.integers(len(meta['classes'])))
    sample.pred_panoptic_seg = panoptic(moved, segments)
    semantic = np.zeros_like(moved)
    for segment in segments:
        semantic[moved == segment['id']] = segment['label']
    sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(semantic.astype(np.int64))[None])
    return sample
