"""Real images, written in several formats and recognised again, mask by mask; and the real folders as they are."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.auto.data import recognise

from .kit import both, by_class, prepared, same, save, write
from .test_drawn import bitmap, official_color

SETS = dict(dsb2018_nuclei='train', camvid='train', coco_panoptic_200='train2017')
IMAGES = 3


@pytest.fixture(scope='module', params=sorted(SETS))
def truth(request, shared_data):
    """Of a few images the path, and classes, masks and whether they are things."""
    root, split = shared_data / request.param, SETS[request.param]
    if not root.is_dir():
        pytest.skip(f'no {request.param}')
    content = json.loads((root / f'annotations/panoptic_{split}.json').read_text())
    categories = {one['id']: one for one in content['categories']}
    names = {image['id']: image['file_name'] for image in content['images']}
    result = {}
    things_of = {a['image_id']: sum(categories[s['category_id']]['isthing'] for s in a['segments_info'])
                 for a in content['annotations']}  # fmt: skip
    with_things = [a for a in content['annotations'] if things_of[a['image_id']] > 1]
    for annotation in with_things[:IMAGES]:
        png = np.asarray(Image.open(root / f'annotations/panoptic_{split}' / annotation['file_name'])).astype(int)
        ids = png @ [1, 256, 65536]
        rows = [
            (categories[one['category_id']]['name'], ids == one['id'], bool(categories[one['category_id']]['isthing']))
            for one in annotation['segments_info']
        ]
        path = root / split / names[annotation['image_id']]
        result[path.stem] = path, [row for row in rows if row[1].any()]
    return result


def link(path, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())


def things(rows):
    return [(label, mask) for label, mask, thing in rows if thing]


def with_rest(rows, name='background'):
    rest = ~np.any([mask for _, mask in rows], axis=0)
    return rows + ([(name, rest)] if rest.any() else [])


def as_mask_folders(root, truth):
    for name, (path, rows) in truth.items():
        link(path, root / f'stage1_train/{name}/images' / path.name)
        for number, (_, mask) in enumerate(things(rows)):
            save(root / f'stage1_train/{name}/masks/{number}.png', mask.astype(np.uint8) * 255)
    return {name: with_rest([('object', mask) for _, mask in things(rows)]) for name, (_, rows) in truth.items()}


def as_instance_pngs(root, truth):
    for name, (path, rows) in truth.items():
        link(path, root / 'images' / path.name)
        ids = np.zeros(rows[0][1].shape, np.uint16)
        for number, (_, mask) in enumerate(things(rows), 1):
            ids[mask] = number
        save(root / f'instances/{name}.png', ids)
    return {name: with_rest([('object', mask) for _, mask in things(rows)]) for name, (_, rows) in truth.items()}


def as_coco_instances(root, truth):
    labels = sorted({label for _, rows in truth.values() for label, _ in things(rows)})
    content = dict(images=[], annotations=[], categories=[dict(id=3 * i, name=label) for i, label in enumerate(labels)])
    for name, (path, rows) in truth.items():
        link(path, root / 'images' / path.name)
        height, width = rows[0][1].shape
        content['images'].append(dict(id=name, file_name=path.name, height=height, width=width))
        for label, mask in things(rows):
            code = mask_utils.encode(np.asfortranarray(mask, np.uint8))
            code['counts'] = code['counts'].decode()
            number = len(content['annotations'])
            content['annotations'].append(dict(id=number, image_id=name, category_id=3 * labels.index(label),
                                               segmentation=code, iscrowd=0))  # fmt: skip
    write(root / 'annotations/instances_default.json', content)
    return {name: things(rows) for name, (_, rows) in truth.items()}


def as_cvat(root, truth):
    images = []
    for number, (path, rows) in enumerate(truth.values()):
        link(path, root / 'images' / path.name)
        height, width = rows[0][1].shape
        shapes = []
        for label, mask in things(rows):
            left, top, w, h = map(int, mask_utils.toBbox(mask_utils.encode(np.asfortranarray(mask, np.uint8))))
            flat = np.concatenate([[False], mask[top : top + h, left : left + w].ravel()])
            ends = np.flatnonzero(flat[1:] != flat[:-1])
            runs = np.diff([0, *ends, flat.size - 1])
            shapes.append(f'<mask label="{label}" rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" '
                          f'width="{w}" height="{h}" z_order="0"/>')  # fmt: skip
        size = f'width="{width}" height="{height}"'
        images.append(f'<image id="{number}" name="{path.name}" {size}>{"".join(shapes)}</image>')
    write(root / 'annotations.xml', f'<annotations><version>1.1</version>{"".join(images)}</annotations>')
    return {name: things(rows) for name, (_, rows) in truth.items()}


def as_supervisely(root, truth):
    labels = sorted({label for _, rows in truth.values() for label, _ in things(rows)})
    write(root / 'meta.json', dict(classes=[dict(title=label, shape='bitmap') for label in labels], tags=[]))
    for path, rows in truth.values():
        link(path, root / 'ds0/img' / path.name)
        height, width = rows[0][1].shape
        objects = [dict(classTitle=label, geometryType='bitmap', bitmap=bitmap(mask)) for label, mask in things(rows)]
        write(root / f'ds0/ann/{path.name}.json', dict(size=dict(height=height, width=width), objects=objects))
    return {name: things(rows) for name, (_, rows) in truth.items()}


def as_class_pngs(root, truth, colors=False):
    labels = sorted({label for _, rows in truth.values() for label, _, _ in rows})
    for name, (path, rows) in truth.items():
        link(path, root / 'images' / path.name)
        ids = np.full(rows[0][1].shape, 255, np.uint8)
        for label, mask, _ in rows:
            ids[mask] = labels.index(label)
        table = np.array([official_color(value) for value in range(256)], np.uint8)
        save(root / f'labels/{name}.png', table[ids] if colors else ids)
    lines = [f'{" ".join(map(str, official_color(i)))} {label}' for i, label in enumerate(labels)]
    if colors:
        write(root / 'label_colors.txt', '\n'.join([*lines, f'{" ".join(map(str, official_color(255)))} Void']))
    else:
        write(root / 'classes.txt', '\n'.join(labels))
    return {name: by_class([row[:2] for row in rows]) for name, (_, rows) in truth.items()}


def as_colors(root, truth):
    return as_class_pngs(root, truth, colors=True)


def as_voc(root, truth):
    labels = ['_background_', *sorted({label for _, rows in truth.values() for label, _ in things(rows)})]
    for name, (path, rows) in truth.items():
        link(path, root / 'JPEGImages' / path.name)
        semantic, objects = (np.zeros(rows[0][1].shape, np.uint8) for _ in range(2))
        for number, (label, mask) in enumerate(things(rows), 1):
            semantic[mask], objects[mask] = labels.index(label), number % 255
        for folder, values in (('SegmentationClassPNG', semantic), ('SegmentationObjectPNG', objects)):
            save(root / folder / f'{name}.png', values)
    write(root / 'class_names.txt', '\n'.join(labels))
    return {name: with_rest(things(rows), '_background_') for name, (_, rows) in truth.items()}


WRITERS = [
    as_mask_folders,
    as_instance_pngs,
    as_coco_instances,
    as_cvat,
    as_supervisely,
    as_class_pngs,
    as_colors,
    as_voc,
]


@pytest.mark.parametrize('writer', WRITERS)
def test_the_same_masks(tmp_path, truth, writer):
    if writer is as_voc and any(len(things(rows)) > 250 for _, rows in truth.values()):
        pytest.skip('more objects than a byte counts')
    expected = writer(tmp_path / 'in', truth)
    assert same(both(prepared(tmp_path / 'in', tmp_path / 'out')), expected)


def test_polygons_lie_where_the_objects_are(tmp_path, truth):
    """YOLO's polygons from OpenCV's outlines: no pixel farther than one from the mask."""
    labels = sorted({label for _, rows in truth.values() for label, _ in things(rows)})
    areas = {}
    for name, (path, rows) in truth.items():
        link(path, tmp_path / 'in/images' / path.name)
        lines = []
        for label, mask in things(rows):
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            outline = max(outlines, key=len).reshape(-1, 2) + 0.5
            if len(outline) > 2:
                lines.append(
                    f'{labels.index(label)} ' + ' '.join(f'{v:.6f}' for v in (outline / mask.shape[::-1]).ravel())
                )
                areas.setdefault(name, []).append(mask)
        write(tmp_path / f'in/labels/{name}.txt', '\n'.join(lines))
    write(tmp_path / 'in/classes.txt', '\n'.join(labels))
    found = both(prepared(tmp_path / 'in', tmp_path / 'out'))
    for name, masks in areas.items():
        near = cv2.dilate(np.any(masks, axis=0).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        filled = [cv2.findContours(m.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0] for m in masks]
        for outlines in filled:  # holes are filled
            cv2.fillPoly(canvas := np.zeros(near.shape, np.uint8), outlines, 1)
            near |= canvas.astype(bool)
        assert len(found[name]) >= 0.9 * len(masks)
        assert not (np.any([mask for _, mask in found[name]], axis=0) & ~near).any()


@pytest.mark.parametrize('name', sorted(SETS))
def test_the_folders_as_they_are(tmp_path, shared_data, name):
    if not (shared_data / name).is_dir():
        pytest.skip(f'no {name}')
    found = recognise(shared_data / name)
    assert found.kind == 'COCO panoptic'
    assert all(len(found.splits[split]) > 90 for split in ('train', 'val'))
