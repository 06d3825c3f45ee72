"""The files of drawing tools, and of data sets with masks of their own, in their real layouts."""

import base64
import io
import math
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mask2former.auto.data import prepare, recognise
from mask2former.errors import DataError
from mask2former.formats.files import read_json

from .kit import (
    IDS,
    SIZE,
    THINGS,
    both,
    box_mask,
    by_class,
    class_map,
    masks_of,
    object_map,
    picture,
    prepared,
    same,
    save,
    truth,
    write,
)

ROOT = Path(__file__).resolve().parents[3]
SPLITS = {name: 'val' if name in 'de' else 'train' for name in THINGS}
LABEL_NAMES = ['cat', 'dog']


def corners(box):
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def via(root, names=THINGS, project=False, version=2):
    entries = {}
    for name in names:
        picture(root / f'{name}.png')
        regions = []
        for label, box in THINGS[name]:
            xs, ys = zip(*corners(box))
            shape = dict(name='polygon', all_points_x=list(xs), all_points_y=list(ys))
            if len(regions) == 1:
                shape = dict(name='rect', x=box[0], y=box[1], width=box[2] - box[0], height=box[3] - box[1])
            regions.append(
                dict(shape_attributes=shape, region_attributes=dict(note='', kind={label: True, 'x': False}))
            )
        regions.append(dict(shape_attributes=dict(name='polyline', all_points_x=[1, 2], all_points_y=[1, 2]),
                            region_attributes=dict(kind='line')))  # fmt: skip
        if version == 1:
            regions = {str(number): region for number, region in enumerate(regions)}
        size = (root / f'{name}.png').stat().st_size
        entries[f'{name}.png{size}'] = dict(filename=f'{name}.png', size=size, regions=regions, file_attributes={})
    content = dict(_via_settings={}, _via_img_metadata=entries, _via_attributes={}) if project else entries
    write(root / ('via_project.json' if project else 'via_region_data.json'), content)


def via_project(root):
    via(root, project=True)


def via_balloon(root):
    """As the balloon data set: VIA 1, a file and its images in train and in val."""
    for split in ('train', 'val'):
        via(root / split, [name for name in THINGS if SPLITS[name] == split], version=1)


def cvat_shape(number, label, box):
    left, top, right, bottom = box
    if number == 1:  # a mask: runs of 0 and 1 in its box, row by row, here with a row of 0 below
        runs = [0, (right - left) * (bottom - top), right - left]
        height = bottom - top + 1
        if bottom < SIZE[0]:
            rle = ', '.join(map(str, runs))
            return (f'<mask label="{label}" source="manual" occluded="0" rle="{rle}" left="{left}" '
                    f'top="{top}" width="{right - left}" height="{height}" z_order="0"></mask>')  # fmt: skip
    points = ';'.join(f'{x:.2f},{y:.2f}' for x, y in corners(box))
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="0"></polygon>'


def cvat(root, subsets=False):
    images = []
    for number, name in enumerate(THINGS):
        picture(root / 'images' / f'{name}.png')
        shapes = ''.join(cvat_shape(*row) for row in ((i, *thing) for i, thing in enumerate(THINGS[name])))
        shapes += '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9" z_order="3"></box><tag label="cat"></tag>'
        subset = f'subset="{SPLITS[name].title()}" ' if subsets else ''
        images.append(
            f'<image id="{number}" name="{name}.png" {subset}width="{SIZE[1]}" height="{SIZE[0]}">{shapes}</image>'
        )
    labels = ''.join(f'<label><name>{name}</name><color>#aa0000</color></label>' for name in LABEL_NAMES)
    head = f'<version>1.1</version><meta><task><name>t</name><labels>{labels}</labels></task></meta>'
    content = f'<annotations>{head}{"".join(images)}</annotations>'
    write(root / 'annotations.xml', f'<?xml version="1.0" encoding="utf-8"?>{content}')


def cvat_project(root):
    cvat(root, subsets=True)


def yolo_lines(name):
    lines = []
    for label, box in THINGS[name]:
        values = [f'{x / SIZE[1]:.8f} {y / SIZE[0]:.8f}' for x, y in corners(box)]
        lines.append(f'{LABEL_NAMES.index(label)} {" ".join(values)}')
    return '\n'.join(lines)


def yolo_ultralytics(root):
    for name, split in SPLITS.items():
        picture(root / 'images' / split / f'{name}.png')
        write(root / 'labels' / split / f'{name}.txt', yolo_lines(name))
    write(
        root / 'coco8-seg.yaml',
        'path: ../datasets/x\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n',
    )


def yolo_roboflow(root):
    for name, split in SPLITS.items():
        folder = root / dict(train='train', val='valid')[split]
        picture(folder / 'images' / f'{name}.jpg')
        write(folder / 'labels' / f'{name}.txt', yolo_lines(name))
    write(
        root / 'data.yaml',
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n",
    )
    write(root / 'README.roboflow.txt', 'hello')
    picture(root / 'test/images/x.jpg')


def yolo_label_studio(root):
    for name in THINGS:
        picture(root / 'images' / f'{name}.png')
        write(root / 'labels' / f'{name}.txt', yolo_lines(name))
    write(root / 'classes.txt', 'cat\ndog\n')
    write(root / 'notes.json', dict(categories=[dict(id=0, name='cat')], info={}))


def bitmap(mask):
    """A mask as Supervisely writes it: a PNG, zlib, base64."""
    ys, xs = np.nonzero(mask)
    patch = mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(np.uint8) * 255
    png = cv2.imencode('.png', np.dstack([patch, patch, patch, patch]))[1].tobytes()
    return dict(data=base64.b64encode(zlib.compress(png)).decode(), origin=[int(xs.min()), int(ys.min())])


def supervisely(root):
    classes = [dict(title='cat', shape='any', color='#0F8A12'), dict(title='dog', shape='polygon', color='#000000'),
               dict(title='spot', shape='point', color='#0F8A12')]  # fmt: skip
    write(root / 'meta.json', dict(classes=classes, tags=[]))
    for name, split in SPLITS.items():
        picture(root / split / 'img' / f'{name}.png')
        objects = []
        for label, (left, top, right, bottom) in THINGS[name]:
            exterior = [[x, y] for x, y in corners((left, top, right - 1, bottom - 1))]  # centres of pixels
            figure = dict(geometryType='polygon', points=dict(exterior=exterior, interior=[]))
            if label == 'cat':
                figure = dict(geometryType='bitmap', bitmap=bitmap(box_mask((left, top, right, bottom))))
            objects.append(dict(classTitle=label, tags=[], **figure))
        objects.append(dict(classTitle='spot', geometryType='point', points=dict(exterior=[[1, 1]], interior=[])))
        size = dict(height=SIZE[0], width=SIZE[1])
        write(root / split / 'ann' / f'{name}.png.json', dict(description='', tags=[], size=size, objects=objects))


def labelme(root):
    """Polygons of LabelMe have their outlines."""
    for name in THINGS:
        picture(root / f'{name}.jpg')
        shapes = [
            dict(
                label=label,
                points=corners((box[0], box[1], box[2] - 1, box[3] - 1)),
                shape_type='polygon',
                group_id=None,
            )
            for label, box in THINGS[name]
        ]
        write(root / f'{name}.json', dict(version='5.5.0', flags={}, shapes=shapes, imagePath=f'{name}.jpg',
                                          imageData=None,
                                          imageHeight=SIZE[0], imageWidth=SIZE[1]))  # fmt: skip


def labelme_embedded(root):
    labelme(root)
    for name in 'bd':
        data = io.BytesIO()
        Image.open(root / f'{name}.jpg').save(data, 'PNG')
        (root / f'{name}.jpg').unlink()
        text = (root / f'{name}.json').read_text()
        write(
            root / f'{name}.json',
            text.replace('"imageData": null', f'"imageData": "{base64.b64encode(data.getvalue()).decode()}"'),
        )


DRAWN = [via, via_project, via_balloon, cvat, cvat_project, yolo_ultralytics, yolo_roboflow, yolo_label_studio,
         supervisely, labelme, labelme_embedded]  # fmt: skip


@pytest.mark.parametrize('layout', DRAWN)
def test_drawn(tmp_path, layout):
    layout(tmp_path / 'in')
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert result.task == 'instance'
    assert same(both(result), truth())
    if layout in (via_balloon, cvat_project, yolo_ultralytics, yolo_roboflow, supervisely):
        assert masks_of(result.val).keys() == set('de')
    kept = {path.suffix for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert kept == ({'.json', '.jpg'} if layout is labelme_embedded else {'.json'})


@pytest.mark.parametrize('layout', [via, supervisely])
def test_drawn_over_a_background(tmp_path, layout):
    layout(tmp_path / 'in')
    result = prepared(tmp_path / 'in', tmp_path / 'out', task='panoptic', jobs=2)
    assert same(both(result), truth(background='background'))
    assert any("stuff class 'background'" in line for line in result.says)


def test_round_shapes(tmp_path):
    """Pixels whose centres lie inside, against OpenCV's polygons of many corners; a few on the line may differ."""
    shapes = [dict(name='circle', cx=40, cy=30, r=17.5), dict(name='ellipse', cx=70, cy=60, rx=25, ry=9, theta=0.7)]
    entries = {}
    for number, shape in enumerate(shapes):
        picture(tmp_path / 'in' / f'{number}.png', (96, 112))
        region = dict(shape_attributes=shape, region_attributes={})
        entries[str(number)] = dict(filename=f'{number}.png', size=1, regions=[region], file_attributes={})
    write(tmp_path / 'in/via.json', entries)
    found = both(prepared(tmp_path / 'in', tmp_path / 'out'))
    for number, (rx, ry, angle) in enumerate([(17.5, 17.5, 0), (25, 9, 0.7)]):
        [(label, mask)] = found[str(number)]
        turn = np.linspace(0, 2 * math.pi, 2000)
        x = shapes[number]['cx'] + rx * np.cos(turn) * math.cos(angle) - ry * np.sin(turn) * math.sin(angle)
        y = shapes[number]['cy'] + rx * np.cos(turn) * math.sin(angle) + ry * np.sin(turn) * math.cos(angle)
        fine = np.zeros(
            (96 * 8, 112 * 8), np.uint8
        )  # eight times as fine; at the centres of the coarse pixels it decides
        cv2.fillPoly(fine, [np.round(np.stack([x, y], -1) * 8).astype(np.int32)], 1)
        assert label == 'object' and abs(mask.sum() / (math.pi * rx * ry) - 1) < 0.02
        assert (mask != fine[4::8, 4::8].astype(bool)).mean() < 0.002


def test_cvat_order_groups_and_ellipses(tmp_path):
    """What lies above is said by z_order; a group is one object; an ellipse turns clockwise by degrees."""
    picture(tmp_path / 'in/images/a.png')
    picture(tmp_path / 'in/images/b.png')
    high = '<polygon label="cat" points="2,2;12,2;12,12;2,12" z_order="5"/>'
    low = '<polygon label="dog" points="4,4;9,4;9,9;4,9" z_order="1"/>'
    group = ''.join(f'<polygon label="cat" points="{x},1;{x + 4},1;{x + 4},5;{x},5" group_id="3"/>' for x in (1, 20))
    ellipse = '<ellipse label="dog" cx="16" cy="14" rx="10" ry="3" rotation="90"/>'
    size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
    write(tmp_path / 'in/annotations.xml', f'<annotations><image id="0" name="a.png" {size}>{high}{low}</image>'
          f'<image id="1" name="b.png" {size}>{group}{ellipse}</image></annotations>')  # fmt: skip
    found = both(prepared(tmp_path / 'in', tmp_path / 'out', task='panoptic'))
    assert [label for label, _ in found['a']].count('dog') == 0
    cats = [mask for label, mask in found['b'] if label == 'cat']
    assert len(cats) == 1 and (cats[0] == (box_mask((1, 1, 5, 5)) | box_mask((20, 1, 24, 5)))).all()
    [(_, dog)] = [row for row in found['b'] if row[0] == 'dog']
    ys, xs = np.nonzero(dog)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (13, 18, 4, 23)


def test_supervisely_holes(tmp_path):
    supervisely(tmp_path / 'in')
    inner = [[5, 5], [8, 5], [8, 8], [5, 8]]
    points = dict(exterior=[[2, 2], [12, 2], [12, 12], [2, 12]], interior=[inner])
    hole = dict(classTitle='dog', geometryType='polygon', points=points)
    write(tmp_path / 'in/train/ann/a.png.json', dict(size=dict(height=SIZE[0], width=SIZE[1]), objects=[hole]))
    [(_, mask)] = both(prepared(tmp_path / 'in', tmp_path / 'out'))['a']
    assert (mask == (box_mask((2, 2, 13, 13)) & ~box_mask((5, 5, 9, 9)))).all()


def mask_folders(root, layout):
    for name in THINGS:
        split = SPLITS[name]
        image, folder = {
            'dsb': (f'stage1_train/{name}/images/{name}.png', f'stage1_train/{name}/masks'),
            'beside': (f'images/{name}.png', f'masks/{name}'),
            'split': (f'{split}/images/{name}.png', f'{split}/masks/{name}'),
            'split below': (f'images/{split}/{name}.png', f'masks/{split}/{name}'),
        }[layout]
        picture(root / image)
        for number, (_, box) in enumerate(THINGS[name]):
            save(root / folder / f'{number}.png', box_mask(box).astype(np.uint8) * 255)
    if layout == 'dsb':
        picture(root / 'stage1_test/z/images/z.png')


@pytest.mark.parametrize('layout', ['dsb', 'beside', 'split', 'split below'])
@pytest.mark.parametrize('task', ['auto', 'instance'])
def test_mask_folders(tmp_path, layout, task):
    mask_folders(tmp_path / 'in', layout)
    result = prepared(tmp_path / 'in', tmp_path / 'out', task=task)
    assert result.task == ('panoptic' if task == 'auto' else 'instance')
    rows = truth(background='background' if task == 'auto' else None)
    expected = {
        name: [('object' if label in IDS else label, mask) for label, mask in found] for name, found in rows.items()
    }
    assert same(both(result), expected)
    if layout == 'dsb':
        assert any('1 image of test without annotations' in line for line in result.says), result.says


def test_an_empty_folder_of_masks_is_an_image_without_objects(tmp_path):
    mask_folders(tmp_path / 'in', 'dsb')
    picture(tmp_path / 'in/stage1_train/y/images/y.png')
    (tmp_path / 'in/stage1_train/y/masks').mkdir()
    result = prepared(tmp_path / 'in', tmp_path / 'out', task='instance')
    assert both(result)['y'] == []
    assert any(line.startswith('1 image without annotation') for line in result.says)


def voc(root, objects=True, colored=False, labels=None):
    for name in THINGS:
        picture(root / 'JPEGImages' / f'{name}.jpg')
        picture(root / 'JPEGImages' / 'unlabelled.jpg')
        semantic, instances = class_map(name) * (1 if labels else 8), object_map(name)
        semantic[-1], instances[-1] = 255, 255  # void, as VOC's borders are
        for folder, values in (('SegmentationClass', semantic), ('SegmentationObject', instances))[: 1 + objects]:
            path = root / folder / f'{name}.png'
            image = Image.fromarray(values)
            image.putpalette(np.array([official_color(i) for i in range(256)], np.uint8).ravel().tolist())
            path.parent.mkdir(parents=True, exist_ok=True)
            (image.convert('RGB') if colored else image).save(path)
    for split in ('train', 'val'):
        write(root / f'ImageSets/Segmentation/{split}.txt', '\n'.join(name for name in THINGS if SPLITS[name] == split))
    write(root / 'ImageSets/Main/val.txt', 'a\nb\nc\n')
    if labels:
        lines = [f'{name}:{",".join(map(str, official_color(i)))}::' for i, name in enumerate(labels)]
        write(root / 'labelmap.txt', '\n'.join(['# label:color_rgb:parts:actions', *lines]))


def official_color(number):
    """VOC's colours, from the text of its development kit: of each group of three bits, one to each channel."""
    r = g = b = 0
    for shift in range(7, -1, -1):
        r, g, b = r | (number & 1) << shift, g | (number >> 1 & 1) << shift, b | (number >> 2 & 1) << shift
        number >>= 3
    return r, g, b


def without_last_row(rows, names):
    """The truth of VOC's files, whose last row is void."""
    result = {}
    for name, found in rows.items():
        cut = [(names.get(label, label), np.vstack([mask[:-1], np.zeros((1, SIZE[1]), bool)])) for label, mask in found]
        result[name] = [(label, mask) for label, mask in cut if mask.any()]
    return result


@pytest.mark.parametrize('colored', [False, True])
@pytest.mark.parametrize('own', [False, True])
def test_voc(tmp_path, colored, own):
    voc(tmp_path / 'in/VOCdevkit/VOC2012', colored=colored, labels=['background', 'cat', 'dog'] if own else None)
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    names = {} if own else {'dog': 'pottedplant'}  # the ids are 8 and 16 then, cats and potted plants
    expected = without_last_row(truth(background='background'), names)
    assert result.task == 'panoptic' and same(both(result), expected)
    assert masks_of(result.val).keys() == set('de')
    assert any('1 image without annotations' in line for line in result.says), result.says


@pytest.mark.parametrize('colored', [False, True])
def test_voc_without_objects_is_semantic(tmp_path, colored):
    voc(tmp_path / 'in', objects=False, colored=colored, labels=['background', 'cat', 'dog'])
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    expected = without_last_row(truth(background='background'), {})
    assert result.task == 'semantic'
    assert same(both(result), {name: by_class(rows) for name, rows in expected.items()})
    assert masks_of(result.val).keys() == set('de')


@pytest.mark.parametrize(
    'layout, change, sentence',
    [
        (via, ('via_region_data.json', '"rect"', '"rect", "x": "left"'), None),
        (via, ('via_region_data.json', '"all_points_x"', '"points"'), 'is malformed'),
        (via, ('via_region_data.json', 'a.png"', 'q.png"'), "such as 'q.png'"),
        (cvat, ('annotations.xml', '</image>', ''), 'is not valid XML'),
        (cvat, ('annotations.xml', '<annotations>', '<!DOCTYPE a [<!ENTITY b "c">]><annotations>'), 'a document type'),
        (cvat, ('annotations.xml', '<image id="0"', '<track id="1"/><image id="0"'), "as 'CVAT for images'"),
        (cvat, ('annotations.xml', 'width="32" height="24"', 'width="30" height="24"'), r'is 24 x 30 \(H x W\), but'),
        (cvat, ('annotations.xml', 'label="dog"', 'label="cow"'), "class 'cow', which its list of classes lacks"),
        (cvat, ('annotations.xml', 'name="b.png"', 'name="../b.jpg"'), "such as '../b.jpg'"),
        (yolo_roboflow, ('data.yaml', 'nc: 2', 'nc: 3'), 'says another number of classes .nc. than its 2 names'),
        (yolo_roboflow, ('data.yaml', "'dog']", "'dog'"), 'is not valid YAML'),
        (yolo_roboflow, ('data.yaml', "'dog']", "'cat']"), 'no list of different names'),
        (yolo_roboflow, ('train/labels/a.txt', '0 0.0', '7 0.0'), "class '7', which its list of classes lacks"),
        (yolo_roboflow, ('train/labels/a.txt', '0 0.0', '0 9.0'), 'that are no shares'),
        (yolo_roboflow, ('train/labels/a.txt', '1 0.4', '1 0.1 0.4'), 'has half a point'),
        (supervisely, ('train/ann/a.png.json', '"height": 24', '"height": 25'), 'is 25 x 32'),
        (supervisely, ('train/ann/a.png.json', '"data": "', '"data": "AAAA'), 'is malformed'),
        (supervisely, ('meta.json', '"title": "dog"', '"title": "hound"'), None),
        (labelme, ('a.json', '"imagePath": "a.jpg"', '"imagePath": "../x/q.jpg"'), "'../x/q.jpg' of .* is not below"),
        (labelme, ('a.json', '"imageHeight": 24', '"imageHeight": 23'), 'is 23 x 32'),
        (labelme, ('b.json', '"shapes": [', '"shapes": [3, '), "has no 'label' or no 'points'"),
        (labelme, ('b.json', '{', '{{'), 'is not valid JSON'),
    ],
)  # fmt: skip
def test_faults(tmp_path, layout, change, sentence):
    root = tmp_path / 'in'
    layout(root)
    name, old, new = change
    text = (root / name).read_text()
    assert old in text
    write(root / name, text.replace(old, new, 1))
    if sentence is None:  # no fault
        assert len(both(prepared(root, tmp_path / 'out'))) == 5
        return
    with pytest.raises(DataError, match=sentence) as error:
        prepared(root, tmp_path / 'out')
    assert '\n' not in str(error.value)


def test_boxes_only(tmp_path):
    yolo_roboflow(tmp_path / 'yolo')
    for path in (tmp_path / 'yolo').rglob('*/labels/*.txt'):
        write(path, '0 0.5 0.5 0.1 0.1\n')
    with pytest.raises(DataError, match='has boxes only'):
        recognise(tmp_path / 'yolo')
    picture(tmp_path / 'cvat/a.png')
    box = '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    write(
        tmp_path / 'cvat/annotations.xml',
        f'<annotations><image id="0" name="a.png" width="32" height="24">{box}</image></annotations>',
    )
    with pytest.raises(DataError, match='has boxes only'):
        recognise(tmp_path / 'cvat')


@pytest.mark.parametrize('name', ['formats.md', 'formats_zh-CN.md'])
def test_the_docs_name_every_format(name):
    page = (ROOT / 'docs' / name).read_text(encoding='utf-8')
    table = page.partition('<!-- recognised-formats -->')[2].partition('<!-- end of recognised-formats -->')[0]
    named = {line.split('|')[1].strip() for line in table.splitlines()[3:] if line.startswith('|')}
    source = ''.join(path.read_text() for path in (ROOT / 'projects/mask2former/auto/data').glob('*.py'))
    assert named == {*re.findall(r"\bkind='([^']+)'", source), 'COCO panoptic', 'COCO instances'}


def test_yolo_image_without_text_shows_nothing(tmp_path):
    yolo_ultralytics(tmp_path / 'in')
    picture(tmp_path / 'in/images/train/n.png')
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert masks_of(result.train)['n'] == []
    assert any(line.startswith('1 image without annotation') for line in result.says)


def test_labels_beside_another_format_are_named(tmp_path):
    cvat(tmp_path)
    for name in THINGS:
        save(tmp_path / 'labels' / f'{name}.png', class_map(name))
    assert "Images in 'labels' may be labels, too: left alone, as CVAT was found." in recognise(tmp_path).notes


def test_two_formats(tmp_path):
    via(tmp_path / 'in')
    cvat(tmp_path / 'in')
    with pytest.raises(DataError, match="has 2 formats, VIA in 'via_region_data.json' and CVAT in 'annotations.xml'"):
        recognise(tmp_path / 'in')
    assert recognise(tmp_path / 'in/annotations.xml').kind == 'CVAT'
    assert recognise(tmp_path / 'in/via_region_data.json').kind == 'VIA'


@pytest.mark.parametrize('layout, name', [(labelme, 'a.json'), (supervisely, 'train/ann/a.png.json')])
def test_one_file_of_many(tmp_path, layout, name):
    layout(tmp_path / 'in')
    with pytest.raises(DataError, match='give the folder'):
        recognise(tmp_path / 'in' / name)


def test_a_few_images_with_faults_are_left_out_and_named(tmp_path):
    root = tmp_path / 'many'
    for number in range(12):
        picture(root / 'images' / f'{number:02}.png')
        write(root / 'labels' / f'{number:02}.txt', '0 0.1 0.1 0.5 0.1 0.5 0.6\n')
    write(root / 'data.yaml', 'names: [cat]\n')
    whole = prepare(recognise(root), tmp_path / 'whole')
    assert not any(line.startswith('Left out') for line in whole.says)
    (root / 'images' / '03.png').write_bytes(b'no image')
    done = prepare(recognise(root), tmp_path / 'done')
    [line] = [line for line in done.says if line.startswith('Left out')]
    assert '03.png' in line and 'decoded' in line
    names = [
        {image['file_name'] for config in (data.train, data.val) for image in read_json(config['ann_file'])['images']}
        for data in (whole, done)
    ]
    assert names[0] - names[1] == {'images/03.png'} and len(names[1]) == 11
    (root / 'images' / '07.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='1 more of 12 images have faults, too'):
        prepare(recognise(root), tmp_path / 'refused')
