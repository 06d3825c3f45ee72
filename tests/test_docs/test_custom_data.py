"""Custom data, with the configs of the README and of docs/your_own_data.md: the tools, outside the repository."""

import json
import re
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.data_tools.shapes import generate_shapes
from tests.forked import run_forked

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    'model.head.num_queries=10',
    'model.criterion.num_points=64',
    'train_cfg.max_iters=3',
    'train_cfg.val_interval=3',
    *(
        f'{name}_dataloader.{setting}'
        for name in ('train', 'val', 'test')
        for setting in ('num_workers=0', 'persistent_workers=False')
    ),
)
# What the drawn shapes are called here, and one more class of which there is no segment.
NAMES = ('wheel', 'window', 'roof', 'lamp', 'tyre', 'clouds', 'lawn', 'pond', 'wall', 'door')


def readme_config(name='README.md', mark='own-data-config'):
    """The config that a page shows."""
    found = re.search(rf'<!-- {mark} -->\n```python\n(.*?)```', (ROOT / name).read_text(encoding='utf-8'), re.S)
    assert found, f'{name} has no config for own data under the mark {mark}'
    return found[1]


def write_config(folder, config):
    """Write ``mine.py``, which would lie in configs/ and here lies far from it."""
    bases = (ROOT / 'configs' / '_base_').as_posix()
    (folder / 'mine.py').write_text(config.replace("'_base_/", f"'{bases}/"))


def test_config_is_short_and_the_same_on_every_page():
    config = readme_config()
    assert len(config.splitlines()) <= 16 and 'num_classes' not in config
    assert readme_config('README_zh-CN.md') == config
    for kind in ('panoptic', 'instance', 'semantic'):
        english = readme_config('docs/your_own_data.md', f'{kind}-config')
        assert readme_config('docs/your_own_data_zh-CN.md', f'{kind}-config') == english
        assert english == config or kind != 'panoptic'


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Path:
    """A folder with ``mine.py`` and the data in ``data/mine``; ids of the classes have gaps and are not in order."""
    folder = tmp_path_factory.mktemp('project')
    data = folder / 'data' / 'mine'
    generate_shapes(data, num_train=4, num_val=2, size=(64, 64))
    for split in ('train', 'val'):
        path = data / 'annotations' / f'panoptic_{split}.json'
        content = json.loads(path.read_text())
        content['categories'].append(dict(id=20, isthing=1))
        ids = {}
        for category, name in zip(content['categories'], NAMES):
            ids[category['id']] = 1000 - 7 * category['id']
            category.update(id=ids[category['id']], name=name)
        for annotation in content['annotations']:
            for segment in annotation['segments_info']:
                segment['category_id'] = ids[segment['category_id']]
        path.write_text(json.dumps(content))
        (data / 'annotations' / f'instances_{split}.json').unlink()
    write_config(folder, readme_config())
    return folder


def run_tool(project, name, *arguments, options=SMALL):
    options = ('--cfg-options', *options) if options else ()
    done = run_forked(ROOT / 'tools' / name, *arguments, *options, cwd=project)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_train_and_test(project):
    run_tool(project, 'train.py', 'mine.py')
    work = project / 'work_dirs' / 'mine'
    checkpoint = torch.load(work / 'iter_3.pth', weights_only=True)
    assert checkpoint['meta']['dataset_meta']['classes'] == NAMES
    assert checkpoint['state_dict']['head.class_embed.weight'].shape == (len(NAMES) + 1, 128)
    assert all(value.isfinite().all() for value in checkpoint['state_dict'].values())

    run_tool(project, 'test.py', 'mine.py', work / 'iter_3.pth', '--work-dir', 'tested', '--out', 'results.pkl')
    metrics = json.loads((project / 'tested' / 'test_metrics.json').read_text())
    assert {'PQ', 'segm_mAP', 'mIoU'} <= metrics.keys()
    [validation] = [
        line for log in work.glob('*/vis_data/scalars.json') for line in map(json.loads, log.open()) if 'PQ' in line
    ]
    for key in ('PQ', 'segm_mAP', 'mIoU', 'aAcc'):
        assert metrics[key] == pytest.approx(validation[key], rel=1e-6), f'{key} of the tool is not that of training'
    results = mmengine.load(project / 'results.pkl')
    assert [Path(result['img_path']).name for result in results] == ['000000.jpg', '000001.jpg']
    for result in results:
        assert sum(mask_utils.area([part['mask'] for part in result['semantic']])) == 64 * 64
        assert all(part['label'] < len(NAMES) for part in result['semantic'])
        assert set(result['instances']['labels'].tolist()) <= {0, 1, 2, 3, 4, 9}, 'the things'


def draw_objects(folder, count):
    """Pictures of two bright boxes, and below ``masks`` a folder of binary PNG files for each."""
    rng = np.random.default_rng(0)
    for name in map('{:02d}'.format, range(count)):
        image = rng.integers(0, 100, (64, 64, 3), dtype=np.uint8)
        (folder / 'pictures').mkdir(exist_ok=True)
        (folder / 'masks' / name).mkdir(parents=True)
        for number, (y, x) in enumerate([(4, 4), (36, 30)]):
            mask = np.zeros((64, 64), np.uint8)
            mask[y : y + 20, x : x + 20] = 255
            image[mask > 0] |= 128
            Image.fromarray(mask).save(folder / 'masks' / name / f'{number}.png')
        Image.fromarray(image).save(folder / 'pictures' / f'{name}.png')


def test_from_a_folder_of_masks_to_a_checkpoint(tmp_path):
    draw_objects(tmp_path, 10)
    said = run_tool(
        tmp_path,
        'dataset_converters/pngs_to_panoptic.py',
        'pictures',
        'data/mine',
        '--mask-dirs',
        'masks',
        '--thing',
        'box',
        '--background',
        'rest',
        options=(),
    )
    assert 'panoptic_val.json: 2 images, 2 classes, 6 segments, 4 things' in said
    write_config(tmp_path, readme_config('docs/your_own_data.md', 'panoptic-config'))
    run_tool(tmp_path, 'misc/check_dataset.py', 'mine.py', '--html', 'check.html', options=())
    assert '<html' in (tmp_path / 'check.html').read_text()
    run_tool(tmp_path, 'train.py', 'mine.py', options=[*SMALL, 'train_dataloader.batch_size=1'])
    checkpoint = torch.load(tmp_path / 'work_dirs' / 'mine' / 'iter_3.pth', weights_only=True)
    assert set(checkpoint['meta']['dataset_meta']['classes']) == {'box', 'rest'}


def test_from_an_instance_file_to_its_average_precision(tmp_path):
    """The truth of the evaluation is the data set's own file, which the config names once."""
    data = tmp_path / 'data' / 'mine'
    generate_shapes(data, num_train=2, num_val=2, size=(64, 64))
    config = readme_config('docs/your_own_data.md', 'instance-config')
    assert config.count('data_root') == 1 and 'evaluator' not in config
    write_config(tmp_path, config)
    options = [*SMALL, 'train_dataloader.batch_size=1', 'train_cfg.max_iters=1', 'train_cfg.val_interval=1']
    run_tool(tmp_path, 'train.py', 'mine.py', options=options)
    checkpoint = tmp_path / 'work_dirs' / 'mine' / 'iter_1.pth'
    [validation] = [
        line
        for log in checkpoint.parent.glob('*/vis_data/scalars.json')
        for line in map(json.loads, log.open())
        if 'segm_mAP' in line
    ]
    assert validation['segm_mAP'] >= 0, 'there are objects of known classes'
    run_tool(tmp_path, 'test.py', 'mine.py', checkpoint, '--work-dir', 'tested', '--out', 'all.pkl')
    tested = json.loads((tmp_path / 'tested' / 'test_metrics.json').read_text())
    assert tested['segm_mAP'] == pytest.approx(validation['segm_mAP'], rel=1e-6)
    run_tool(tmp_path, 'analysis_tools/eval_metric.py', 'mine.py', 'all.pkl', '--out', 'later.json', options=())
    later = json.loads((tmp_path / 'later.json').read_text())
    assert later == pytest.approx({name: tested[name] for name in later}, nan_ok=True)


def test_from_class_id_pngs_to_a_checkpoint(tmp_path):
    for split in ('train', 'val'):
        for folder in (split, f'{split}_png'):
            (tmp_path / 'data' / 'mine' / folder).mkdir(parents=True)
        for name in 'abcd':
            image = np.full((64, 80, 3), 90, np.uint8)
            Image.fromarray(image).save(tmp_path / 'data' / 'mine' / split / f'{name}.jpg')
            labels = np.repeat([[0], [1], [2], [255]], 16, axis=0).repeat(80, axis=1).astype(np.uint8)
            Image.fromarray(labels).save(tmp_path / 'data' / 'mine' / f'{split}_png' / f'{name}.png')
    write_config(tmp_path, readme_config('docs/your_own_data.md', 'semantic-config'))
    run_tool(tmp_path, 'train.py', 'mine.py', options=[*SMALL, 'train_dataloader.batch_size=1'])
    checkpoint = torch.load(tmp_path / 'work_dirs' / 'mine' / 'iter_3.pth', weights_only=True)
    assert checkpoint['meta']['dataset_meta']['classes'] == ('road', 'sky', 'car')
