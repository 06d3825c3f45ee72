"""Images of five bands and 16 bits, from the files to the pictures, by the config that the docs show."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config

from mask2former.apis import SegInferencer
from mask2former.apis.run_config import load_config
from mask2former.data_tools.check import check_splits, read_splits
from mask2former.data_tools.check.html import write_html
from mask2former.data_tools.check.statistics import facts_of
from mask2former.data_tools.shapes import generate_shapes
from mask2former.errors import ConfigError
from tests.tiny import ROOT, train, write_config
from tests.tools import load_tool

SMALL = (
    "dict(_delete_=True, type='HFBackbone', pretrained=False, in_channels=5, config=dict(model_type='convnext', "
    'hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]))'
)


def to_five_bands(folder):
    """Make TIFF files of 16 bits of the pictures, and have the annotation files name them."""
    for split in ('train', 'val'):
        for path in sorted((folder / split).iterdir()):
            blue, green, red = np.moveaxis(cv2.imread(str(path)).astype(np.uint16), 2, 0)
            bands = np.stack([blue * 100, green * 50, red * 20 + 1000, 30000 - 90 * green, blue * red], axis=-1)
            tifffile.imwrite(path.with_suffix('.tif'), bands, photometric='minisblack', planarconfig='contig')
            path.unlink()
        for kind in ('panoptic', 'instances'):
            file = folder / 'annotations' / f'{kind}_{split}.json'
            file.write_text(re.sub(r'(\d)\.jpg', r'\1.tif', file.read_text()))


def documented():
    """The config in docs/bands.md, but with a small backbone without weights."""
    text = (ROOT / 'docs' / 'bands.md').read_text(encoding='utf-8')
    code = text.partition('<!-- bands-config -->')[2].partition('```python\n')[2].partition('```')[0]
    assert len(code.splitlines()) <= 10
    code, count = re.subn(r'(?m)^backbone = .*$', f'backbone = {SMALL}', code)
    assert count == 1
    return code.replace("'mine.py'", "'tiny.py'").replace('(320, 320)', '(64, 64)')


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """The config, and the folder of a data set of two images each."""
    folder = tmp_path_factory.mktemp('bands')
    data = folder / 'data'
    generate_shapes(data, num_train=2, num_val=2, size=(64, 96))
    to_five_bands(data)
    write_config(folder, data)
    config = folder / 'bands.py'
    config.write_text(documented())
    return config, data


def expected_moments(folder):
    pixels = np.concatenate([tifffile.imread(path).reshape(-1, 5) for path in sorted(folder.iterdir())]).astype(float)
    return pixels.mean(axis=0), pixels.std(axis=0)


def test_the_data_check_measures_and_names(project, tmp_path):
    config, data = project
    report = check_splits(read_splits(Config.fromfile(config), 'train'), headers_only=False, jobs=1)
    assert {problem.kind for problem in report.splits[0].problems} <= {'class without segment'}  # of two images
    facts = facts_of(report.splits[0])
    assert facts['type of the values'] == 'uint16' and facts['image width: least, median, most'] == '96, 96, 96'
    for name, values in zip(('mean', 'std'), expected_moments(data / 'train')):
        printed = [float(value) for value in facts[f'{name} of the 5 bands'].split(', ')]
        np.testing.assert_allclose(printed, values, rtol=1e-5)
    write_html(report, tmp_path / 'check.html', 2)
    assert 'data:image/jpeg' in (tmp_path / 'check.html').read_text()


@pytest.mark.parametrize('headers_only', [False, True])
def test_the_data_check_finds_other_bands_types_and_sizes(tmp_path, headers_only):
    generate_shapes(tmp_path / 'data', num_train=6, num_val=1, size=(64, 96))
    to_five_bands(tmp_path / 'data')
    write_config(tmp_path, tmp_path / 'data')
    (tmp_path / 'bands.py').write_text(documented())
    paths = sorted((tmp_path / 'data' / 'train').iterdir())
    image = tifffile.imread(paths[0])

    def write(index, array):
        tifffile.imwrite(paths[index], array, photometric='minisblack', planarconfig='contig')

    write(0, image[..., :4])
    write(1, image.astype(np.uint8))
    write(2, image[:, :90])
    paths[3].write_bytes(b'torn')
    paths[4].unlink()
    found = check_splits(read_splits(Config.fromfile(tmp_path / 'bands.py'), 'train'), headers_only, jobs=1)
    texts = {problem.kind: problem.text for problem in found.splits[0].problems}
    assert '64 x 96 x 4 values' in texts['wrong bands'] and str(paths[0]) in texts['wrong bands']
    assert f'{paths[1]} is uint8, but 2 of 3 images are uint16' in texts['mixed types']
    assert f'{paths[2]} is 90 x 64, the JSON file says 96 x 64' in texts['wrong size']
    assert str(paths[3]) in texts['corrupt image'] and str(paths[4]) in texts['missing image']


def test_train_test_draw_and_predict(project, tmp_path, monkeypatch):
    config, data = project
    work = tmp_path / 'work'
    drawing = dict(type='SegVisualizationHook', draw=True, interval=1, out_dir=str(tmp_path / 'pictures'))
    runner = train(
        config,
        work_dir=str(work),
        visualizer__name=str(work),
        train_cfg__max_iters=2,
        train_cfg__val_interval=2,
        default_hooks__visualization=drawing,
    )
    assert runner.iter == 2 and np.isfinite(runner.message_hub.get_scalar('train/loss').current())
    assert len(list((tmp_path / 'pictures').iterdir())) == 2

    path = sorted((data / 'val').iterdir())[0]
    inferencer = SegInferencer(config, work / 'iter_2.pth', device='cpu')
    [of_file] = inferencer(path)
    [of_array] = inferencer(tifffile.imread(path))
    *of_folder, _ = inferencer(data / 'val')
    for other in (of_array, of_folder[0]):
        assert torch.equal(of_file.pred_panoptic_seg.id_map, other.pred_panoptic_seg.id_map)
        assert torch.equal(of_file.pred_instances.scores, other.pred_instances.scores)
    assert of_file.ori_shape == (64, 96)
    for wrong in (np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96, 5))):
        with pytest.raises(ConfigError, match=r'must be an array \(H, W, 5\) of uint8, uint16, int16, float32'):
            inferencer(wrong)
    picture = inferencer.visualize(path, of_file)
    inferencer.visualizer.bands = (3,)
    assert picture.dtype == np.uint8 and not np.array_equal(picture, inferencer.visualize(path, of_file))

    arguments = ['browse_dataset.py', str(config), '--num', '1', '--out-dir', str(tmp_path / 'browse'), '--bands', '3']
    monkeypatch.setattr('sys.argv', arguments)
    load_tool('analysis_tools/browse_dataset').main()
    [browsed] = (tmp_path / 'browse').iterdir()
    shown = cv2.imread(str(browsed))[40:, :400].astype(int)
    assert np.abs(shown[..., 0] - shown[..., 2]).mean() < 3 and shown.std() > 5  # one band is grey


@pytest.mark.parametrize(
    'change, sentence',
    [
        ("load['bands'] = 4", r'model.data_preprocessor.mean: it has 5 entries, but .* reads images of 4 bands'),
        ("model['data_preprocessor'] = dict(_delete_=True, type='SegDataPreprocessor')", r'mean: it has 3 entries'),
        (
            "del jitter['pad_val']",
            r'pipeline: pad_val of LargeScaleJitter has 3 values by default, but the images have 5',
        ),
        (
            "val_dataloader['dataset']['pipeline'][0] = dict(type='LoadImage')",
            r'it reads images of 3 bands, but train_',
        ),
        (
            "train_dataloader['dataset']['pipeline'].insert(2, dict(type='PhotoMetricDistortion'))",
            r'train_dataloader.dataset.pipeline: PhotoMetricDistortion changes colours',
        ),
    ],
)
def test_what_does_not_agree_is_found_before_anything_is_built(project, tmp_path, change, sentence):
    config, _ = project
    changed = tmp_path / 'changed.py'
    changed.write_text(config.read_text().replace("'tiny.py'", repr(str(config.with_name('tiny.py')))) + f'{change}\n')
    arguments = type('Arguments', (), dict(config=str(changed), cfg_options={}))
    with pytest.raises(ConfigError, match=sentence):
        load_config(arguments, complete=True)


def test_the_published_configs_are_not_concerned():
    from mask2former.apis.band_check import band_faults

    cfg = Config.fromfile(Path(ROOT) / 'configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py')
    assert not list(band_faults(cfg, complete=True)) and json.dumps(cfg.model.data_preprocessor)
