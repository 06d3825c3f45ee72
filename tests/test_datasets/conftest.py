"""Tiny data sets written into a temporary folder."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope, init_default_scope

CATEGORIES = [dict(id=7, name='cat', isthing=1), dict(id=3, name='grass', isthing=0), dict(id=9, name='dog', isthing=1)]


@pytest.fixture(autouse=True)
def scope():
    before = DefaultScope.get_current_instance()
    init_default_scope('mask2former')
    yield
    if before is not None:
        init_default_scope(before.scope_name)


class TinyPanoptic:
    """Writes images, panoptic PNG files and the JSON file; ``write`` after changing ``content``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = dict(images=[], annotations=[], categories=[dict(c) for c in CATEGORIES])
        (root / 'img').mkdir()
        (root / 'png').mkdir()

    def add(self, id_map: np.ndarray | None, segments: list[dict], size: tuple[int, int] | None = None) -> int:
        img_id = 10 + len(self.content['images'])
        height, width = size or id_map.shape
        image = np.random.default_rng(img_id).integers(0, 255, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(self.root / f'img/{img_id}.png'), image)
        self.content['images'].append(dict(id=img_id, file_name=f'{img_id}.png', height=height, width=width))
        if id_map is not None:
            bgr = np.stack([id_map >> 16 & 255, id_map >> 8 & 255, id_map & 255], axis=-1).astype(np.uint8)
            cv2.imwrite(str(self.root / f'png/{img_id}.png'), bgr)
            self.content['annotations'].append(dict(image_id=img_id, file_name=f'{img_id}.png', segments_info=segments))
        return img_id

    def write(self) -> dict:
        """Write the JSON file; returns the config of the data set."""
        (self.root / 'panoptic.json').write_text(json.dumps(self.content))
        return dict(
            type='CocoPanopticFormat',
            data_root=str(self.root),
            ann_file='panoptic.json',
            data_prefix=dict(img='img/', seg='png/'),
        )


@pytest.fixture
def tiny(tmp_path) -> TinyPanoptic:
    """An empty tiny data set."""
    return TinyPanoptic(tmp_path)


@pytest.fixture
def two_images(tiny) -> TinyPanoptic:
    """Image 10: cat (id 70000), grass (5), a crowd of dogs (300), void. Image 11: nothing annotated."""
    id_map = np.zeros((24, 32), dtype=np.int64)
    id_map[2:10, 3:15] = 70000
    id_map[12:20] = 5
    id_map[21:, 20:] = 300
    tiny.add(
        id_map,
        [
            dict(id=70000, category_id=7, iscrowd=0, area=96),
            dict(id=5, category_id=3, iscrowd=0, area=256),
            dict(id=300, category_id=9, iscrowd=1, area=36),
        ],
    )
    tiny.add(None, [], size=(24, 32))
    tiny.id_map = id_map
    return tiny
