"""The converters with images of five bands, NumPy files and TIFF files: nothing of them is read but their size."""

import json

import numpy as np
import pytest
import tifffile

from mask2former.datasets.transforms import LoadImage
from tests.test_data_tools.kit import run, save

SIZE = (20, 30)
BANDS = np.random.default_rng(0).integers(0, 30000, (*SIZE, 5)).astype(np.uint16)
MASK = np.zeros(SIZE, bool)
MASK[4:11, 6:20] = True


def write_tiff(path):
    tifffile.imwrite(path, BANDS, photometric='minisblack', planarconfig='contig')


WRITERS = {'npy': lambda path: np.save(path, BANDS), 'tif': write_tiff}


@pytest.fixture(params=WRITERS)
def tree(request, tmp_path):
    """A folder of one image, with what each of the converters reads; the image's name."""
    name = f'a.{request.param}'
    (tmp_path / 'images').mkdir()
    WRITERS[request.param](tmp_path / 'images' / name)
    save(tmp_path / 'ids' / 'a.png', MASK.astype(np.uint8))
    corners = [[6, 4], [19, 10]]
    shape = dict(label='field', points=corners, shape_type='rectangle', group_id=None)
    labelme = dict(shapes=[shape], imagePath=f'../images/{name}', imageData=None, imageHeight=20, imageWidth=30)
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'a.json').write_text(json.dumps(labelme))
    polygon = [6, 4, 20, 4, 20, 11, 6, 11]
    coco = dict(
        images=[dict(id=1, file_name=name, height=20, width=30)],
        annotations=[dict(id=1, image_id=1, category_id=1, segmentation=[polygon], area=98, bbox=[6, 4, 14, 7])],
        categories=[dict(id=1, name='field')],
    )
    (tmp_path / 'coco.json').write_text(json.dumps(coco))
    return tmp_path, name


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('pngs_to_panoptic', ('images', 'out', '--instances', 'ids', '--thing', 'field')),
        ('labelme_to_coco', ('labels', 'out')),
        ('coco_instance_to_panoptic', ('coco.json', 'images', 'out')),
    ],
)
def test_images(tool, arguments, tree, monkeypatch):
    folder, name = tree
    monkeypatch.chdir(folder)
    run(tool, *arguments, '--split', 'train', '--jobs', 1)
    panoptic = json.loads((folder / 'out/annotations/panoptic_train.json').read_text())
    assert [(x['file_name'], x['height'], x['width']) for x in panoptic['images']] == [(name, *SIZE)]
    [segment] = panoptic['annotations'][0]['segments_info']
    assert segment['area'] == MASK.sum() and segment['bbox'] == [6, 4, 14, 7]
    image = LoadImage(bands=5)(dict(img_path=str(folder / 'out' / 'train' / name)))['img']
    assert np.array_equal(image, BANDS)


def test_videos(tree, monkeypatch):
    folder, name = tree
    monkeypatch.chdir(folder)
    run('pngs_to_youtube_vis', 'images', 'ids', 'out', '--thing', 'field', '--split', 'train', '--jobs', 1)
    content = json.loads((folder / 'out/train.json').read_text())
    [video], [track] = content['videos'], content['annotations']
    assert (video['height'], video['width']) == SIZE and video['file_names'] == [f'images/{name}']
    assert track['areas'] == [MASK.sum()]
