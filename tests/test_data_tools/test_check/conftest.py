"""Sound data sets that a test may spoil, and how to check them."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.check import Settings, check_splits, read_split
from mask2former.data_tools.shapes import generate_shapes
from mask2former.datasets import CocoInstanceFormat, CocoPanopticFormat, SemanticPngFormat

SIZE = (64, 96)  # height, width
NUM_TRAIN = 8
LABEL_MAP = {1: 'sky', 5: 'road', 6: 'road', 9: 'car'}
FORMS = ('panoptic', 'instance', 'semantic')


class DataFolder:
    """The `shapes` data in COCO's panoptic and instance formats, and the same pictures with class-id PNG files.

    Args:
        root (Path): The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def image(self, index: int, split: str = 'train') -> Path:
        return sorted((self.root / split).iterdir())[index]

    def panoptic_map(self, index: int) -> Path:
        return sorted((self.root / 'annotations' / 'panoptic_train').iterdir())[index]

    def class_map(self, index: int, split: str = 'train') -> Path:
        return sorted((self.root / f'semantic_{split}').iterdir())[index]

    def edit(self, change, kind: str = 'panoptic', split: str = 'train') -> None:
        """Change the content of a JSON file in place."""
        path = self.root / 'annotations' / f'{kind}_{split}.json'
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def paint(self, index: int, value: int, count: int) -> None:
        """Give the first pixels of a class-id PNG another value."""
        path = self.class_map(index)
        values = np.array(Image.open(path))
        values.ravel()[:count] = value
        Image.fromarray(values).save(path)

    def dataset(self, form: str, split: str = 'train', *, lazy_init: bool = True, **changes):
        """The data set; ``ann_file`` and ``seg`` may be those of a clean copy."""
        prefix = dict(img=f'{split}/')
        if form != 'instance':
            prefix['seg'] = changes.pop(
                'seg', f'annotations/panoptic_{split}/' if form == 'panoptic' else f'semantic_{split}/'
            )
        given = dict(data_root=str(self.root), data_prefix=prefix, lazy_init=lazy_init, **changes)
        if form == 'semantic':
            return SemanticPngFormat(**{'label_map': LABEL_MAP, 'ignore_index': (0, 255), **given})
        kind = 'panoptic' if form == 'panoptic' else 'instances'
        given.setdefault('ann_file', f'annotations/{kind}_{split}.json')
        return (CocoPanopticFormat if form == 'panoptic' else CocoInstanceFormat)(**given)

    def check(self, form: str, *, headers_only: bool = False, splits=('train', 'val'), num_queries=None, **changes):
        sources = [
            read_split(self.dataset(form, split, **changes), Settings(split, num_queries=num_queries))
            for split in splits
        ]
        return check_splits(sources, headers_only, jobs=2)


def kinds(split) -> Counter:
    return Counter(problem.kind for problem in split.problems)


def _write_class_maps(root: Path) -> None:
    """Class-id PNG files: sky above road (two values) with a car; a margin is void."""
    for split in ('train', 'val'):
        (root / f'semantic_{split}').mkdir()
        for index, image in enumerate(sorted((root / split).iterdir())):
            values = np.full(SIZE, 1, np.uint8)
            values[30:45], values[45:], values[40:50, 20 + index : 40] = 5, 6, 9
            values[:, :2], values[:, -3:] = 0, 255
            Image.fromarray(values).save(root / f'semantic_{split}' / f'{image.stem}.png')


@pytest.fixture(scope='session')
def sound(tmp_path_factory) -> DataFolder:
    """Data without a fault; not to be changed."""
    root = tmp_path_factory.mktemp('sound')
    generate_shapes(root, num_train=NUM_TRAIN, num_val=3, size=SIZE)
    _write_class_maps(root)
    return DataFolder(root)


@pytest.fixture
def data(sound, tmp_path) -> DataFolder:
    """A copy to spoil."""
    return DataFolder(Path(shutil.copytree(sound.root, tmp_path / 'data')))
