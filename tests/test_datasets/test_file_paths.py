"""A data set reads below its folder only, unless the config says otherwise."""

import pytest

from mask2former.data_tools.check import Settings, check_splits, read_split
from mask2former.datasets import CocoInstanceFormat, CocoPanopticFormat, SemanticPngFormat, YouTubeVISFormat
from mask2former.errors import DataError
from mask2former.formats.files import write_json, write_text

NAME = '../../elsewhere/a.png'
OUTSIDE = (
    r"names the file '../../elsewhere/a.png', which is outside of the data set's folder '.*/data'; .*allow_outside_"
)


@pytest.fixture(params=['image', 'map', 'instance', 'semantic', 'video'])
def dataset(request, tmp_path):
    """Builds a data set whose annotation file names a file outside."""
    (tmp_path / 'data/img').mkdir(parents=True)
    image, video = dict(id=1, height=4, width=4), dict(id=1, height=4, width=4, file_names=['a.png', NAME])
    in_image = request.param == 'image'
    segments = [dict(id=5, category_id=1, iscrowd=0)]
    annotation = dict(image_id=1, file_name='a.png' if in_image else NAME, segments_info=segments)
    instance = dict(id=1, image_id=1, category_id=1, iscrowd=0, segmentation=[[0, 0, 3, 0, 3, 3]])
    track = dict(id=1, video_id=1, category_id=1, segmentations=[None, [[0, 0, 3, 0, 3, 3]]])
    panoptic = dict(images=[dict(image, file_name=NAME if in_image else 'a.png')], annotations=[annotation])
    content, kind, seg = dict(
        image=(panoptic, CocoPanopticFormat, dict(seg='seg')),
        map=(panoptic, CocoPanopticFormat, dict(seg='seg')),
        instance=(dict(images=[dict(image, file_name=NAME)], annotations=[instance]), CocoInstanceFormat, {}),
        semantic=(None, SemanticPngFormat, dict(seg='no')),
        video=(dict(videos=[video], annotations=[track]), YouTubeVISFormat, {}),
    )[request.param]
    options = dict(data_root=str(tmp_path / 'data'), data_prefix=dict(img='img', **seg), test_mode=True)
    if content is None:
        write_text(tmp_path / 'data/list.txt', NAME)
        options |= dict(ann_file='list.txt', img_suffix='.png', label_map={1: 'cat'})
    else:
        write_json(tmp_path / 'data/list.json', dict(content, categories=[dict(id=1, name='cat', isthing=1)]))
        options |= dict(ann_file='list.json')
    return lambda **more: kind(**options, **more)


def test_what_is_outside_is_refused_unless_the_config_allows_it(dataset):
    with pytest.raises(DataError, match=OUTSIDE):
        dataset()
    item = dataset(allow_outside_root=True).get_data_info(0)
    paths = [item.get('img_path'), item.get('seg_map_path'), *item.get('frames', ())]
    assert any(path and path.endswith(f'/data/{"seg" if path == paths[1] else "img"}/{NAME}') for path in paths)


def test_the_data_check_finds_it_and_does_not_open_it(dataset):
    source = read_split(dataset(lazy_init=True), Settings('test'))
    found = [problem for problem in source.problems if problem.kind == 'outside the root']
    assert len(found) == 1 and 'allow_outside_root' in found[0].text
    paths = [path for entry in source.entries.values() for path in (entry.path, entry.map_path)]
    assert not any('elsewhere' in path for path in paths if path)
    kinds = [problem.kind for problem in check_splits([source], True, jobs=1).splits[0].problems]
    assert 'outside the root' in kinds


def test_folders_that_are_links_are_read(tmp_path, two_images):
    two_images.write()
    (tmp_path / 'linked').mkdir()
    for name in ('img', 'png', 'panoptic.json'):
        (tmp_path / 'linked' / name).symlink_to(tmp_path / name)
    cfg = dict(data_root=str(tmp_path / 'linked'), ann_file='panoptic.json', data_prefix=dict(img='img', seg='png'))
    assert CocoPanopticFormat(**cfg).get_data_info(0)['img_path'] == str(tmp_path / 'linked/img/10.png')


def test_the_prefix_of_the_config_may_lead_anywhere(tmp_path, two_images):
    (tmp_path / 'lists').mkdir()
    cfg = dict(two_images.write(), data_root=str(tmp_path / 'lists'), ann_file=str(tmp_path / 'panoptic.json'))
    cfg.pop('type')
    dataset = CocoPanopticFormat(**dict(cfg, data_prefix=dict(img='../img', seg='../png')))
    assert dataset.get_data_info(0)['img_path'] == str(tmp_path / 'lists/../img/10.png')
