"""What the tests of the formats share: pictures with known masks, and the masks that a prepared data set has."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.auto.data import prepare, recognise
from mask2former.registry import DATASETS

SIZE = (24, 32)
# Of each image the things: class, and box as left, top, right, bottom.
THINGS = {
    'a': [('cat', (2, 3, 10, 12)), ('dog', (14, 2, 30, 9)), ('cat', (5, 14, 20, 22))],
    'b': [('dog', (0, 0, 9, 24))],
    'c': [('cat', (12, 5, 13, 6)), ('dog', (20, 10, 32, 24))],
    'd': [('cat', (1, 1, 31, 23))],
    'e': [('dog', (4, 4, 12, 12)), ('cat', (16, 4, 24, 12))],
}
IDS = dict(cat=1, dog=2)


def picture(path, size=SIZE, seed=0):
    """Write a random picture of the size (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)


def save(path, array, **options):
    """Write an array as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(path, **options)


def write(path, content):
    """Write a text, or an object as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def box_mask(box, size=SIZE):
    """The mask (H, W) of a box."""
    mask = np.zeros(size, bool)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return mask


def truth(names=THINGS, background=None):
    """Of each image the classes and masks of its things, and of the background, where it has a name."""
    result = {}
    for name in names:
        rows = [(label, box_mask(box)) for label, box in THINGS[name]]
        rest = ~np.any([mask for _, mask in rows], axis=0)
        result[name] = rows + ([(background, rest)] if background and rest.any() else [])
    return result


def class_map(name):
    """The class ids (H, W) of an image, 0 elsewhere."""
    result = np.zeros(SIZE, np.uint8)
    for label, box in THINGS[name]:
        result[box_mask(box)] = IDS[label]
    return result


def object_map(name):
    """The numbers (H, W) of the things of an image, 0 elsewhere."""
    result = np.zeros(SIZE, np.uint8)
    for number, (_, box) in enumerate(THINGS[name], 1):
        result[box_mask(box)] = number
    return result


def prepared(path, out, **options):
    """What a path becomes."""
    return prepare(recognise(Path(path)), Path(out), **options)


def masks_of(config):
    """The classes and masks of each image of a data set, by the image's stem; read with Pillow and pycocotools."""
    dataset = DATASETS.build(dict(config, pipeline=[]))
    classes, result = dataset.metainfo['classes'], {}
    for item in map(dataset.get_data_info, range(len(dataset))):
        with Image.open(item['img_path']) as image:
            width, height = image.size
        rows = []
        if 'instances' in item:
            for one in item['instances']:
                code = one['segmentation']
                if isinstance(code, list):
                    code = mask_utils.merge(mask_utils.frPyObjects(code, height, width))
                rows.append((classes[one['label']], mask_utils.decode(code).astype(bool)))
        else:
            values = np.asarray(Image.open(item['seg_map_path'])).astype(int)
            if 'segments_info' in item:
                ids = values @ [1, 256, 65536]
                assert set(np.unique(ids)) <= {0, *(one['id'] for one in item['segments_info'])}
                rows = [(classes[one['label']], ids == one['id']) for one in item['segments_info']]
            else:
                labels = item['label_table'][values]
                assert (labels >= -1).all()
                rows = [(name, labels == label) for label, name in enumerate(classes) if (labels == label).any()]
        assert all(mask.shape == (height, width) for _, mask in rows)
        name = Path(item['img_path']).stem
        assert name not in result
        result[name] = rows
    return result


def same(found, expected):
    """Whether images have the same classes and masks, in whatever order."""

    def key(rows):
        return sorted((label, mask.tobytes()) for label, mask in rows)

    assert found.keys() == expected.keys()
    for name in expected:
        assert [label for label, _ in key(found[name])] == [label for label, _ in key(expected[name])], name
        assert key(found[name]) == key(expected[name]), name
    return True


def by_class(rows):
    """Masks of one class together."""
    merged = {}
    for label, mask in rows:
        merged[label] = merged.get(label, False) | mask
    return list(merged.items())


def both(result):
    """The images that train and those that validate, together; none is in both."""
    train, val = masks_of(result.train), masks_of(result.val)
    assert not train.keys() & val.keys()
    return train | val
