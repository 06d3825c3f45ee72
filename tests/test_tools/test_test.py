"""tools/test.py: its flags and its files, with and without test-time augmentation, in one process and in two."""

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from pycocotools import mask as mask_utils

from mask2former.apis import run_config
from mask2former.errors import ConfigError
from tests.forked import run_forked_ranks
from tests.tiny import ROOT, name_run, write_config
from tests.tools import load_tool


def test_test_writes_metrics_predictions_and_pictures(tool, run, tmp_path, capsys):
    out, pictures = tmp_path / 'all.pkl', tmp_path / 'pictures'
    tool('test', run.config, run.full, '--work-dir', tmp_path, '--out', out, '--show-dir', pictures)
    metrics = json.loads((tmp_path / 'test_metrics.json').read_text())
    assert {'PQ', 'PQ_th', 'PQ_st', 'segm_mAP', 'mIoU'} <= metrics.keys()
    assert all(type(value) is float for value in metrics.values())
    assert f'Metrics are in {tmp_path}/test_metrics.json, pictures in {pictures}.' in capsys.readouterr().out

    results = pickle.loads(out.read_bytes())
    assert sorted(path.stem for path in pictures.iterdir()) == sorted(Path(r['img_path']).stem for r in results)
    assert len(results) == 5
    assert all(cv2.imread(str(path)).std() > 1 for path in pictures.iterdir())
    for result in results:
        instances = result['instances']
        count = len(instances['masks'])
        assert 1 <= count == len(instances['labels']) == len(instances['scores'])
        assert instances['bboxes'].shape == (count, 4)
        masks = mask_utils.decode(instances['masks'])  # (H, W, n)
        assert masks.shape == (64, 96, count)
        panoptic = [mask_utils.decode(segment['mask']) for segment in result['panoptic']]
        assert np.max(np.sum(panoptic, axis=0)) <= 1
        assert all({'id', 'label', 'isthing', 'score'} <= segment.keys() for segment in result['panoptic'])
        semantic = [mask_utils.decode(segment['mask']) for segment in result['semantic']]
        assert (np.sum(semantic, axis=0) == 1).all()  # every pixel has one label
    assert any(result['panoptic'] for result in results)


def test_the_config_of_a_resumed_training_tests_weights_alone(tool, run, tmp_path):
    weights = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=torch.load(run.full, weights_only=True)['state_dict']), weights)
    tool('test', run.config, weights, '--work-dir', tmp_path, '--cfg-options', 'resume=True')
    assert 'PQ' in json.loads((tmp_path / 'test_metrics.json').read_text())


def test_mixed_precision_has_its_own_file(tool, run, tmp_path, capsys):
    tool('test', run.config, run.full, '--work-dir', tmp_path)
    tool('test', run.config, run.full, '--work-dir', tmp_path, '--amp')
    plain, reduced = (json.loads((tmp_path / f'test_metrics{x}.json').read_text()) for x in ('', '_bfloat16'))
    assert plain != reduced and reduced['mIoU'] == pytest.approx(plain['mIoU'], abs=3)
    assert 'bfloat16' in capsys.readouterr().out
    with pytest.raises(ConfigError, match='Processors predict in bfloat16'):
        tool('test', run.config, run.full, '--work-dir', tmp_path, '--amp-dtype', 'float16')


def test_test_refuses_another_kind_of_file(tool, run, capsys):
    with pytest.raises(SystemExit):
        tool('test', run.config, run.full, '--out', 'all.json')
    assert "--out must name a .pkl file, not 'all.json'" in capsys.readouterr().err


def test_the_folder_of_a_training_has_a_checkpoint_of_its_own(tool, run, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        tool('test', run.config)
    assert 'only the folder of a training has one' in capsys.readouterr().err
    folder = tmp_path / 'mine'
    folder.mkdir()
    cfg = Config.fromfile(run.config)
    cfg.pop('work_dir')
    cfg.dump(folder / 'config.py')
    shutil.copy(run.full, folder / 'best_PQ_iter_1.pth')
    monkeypatch.chdir(tmp_path)
    tool('test', folder)
    tested = json.loads((tmp_path / 'work_dirs' / 'mine' / 'tested.json').read_text())  # no folder called 'config'
    assert str(folder / 'best_PQ_iter_1.pth') in tested['test_metrics.json']['checkpoint']


def test_test_does_not_measure_a_model_that_is_loaded_in_part(tool, run, tmp_path):
    checkpoint = torch.load(run.full)
    del checkpoint['state_dict']['head.query_feat.weight']
    torch.save(checkpoint, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r"part.pth' does not fit the model: 1 of .*'head.query_feat.weight' is abse"):
        tool('test', run.config, tmp_path / 'part.pth', '--work-dir', tmp_path)


IDENTITY = """
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='TestTimeAug', transforms=[[dict(type='RandomFlip', prob=0.0)], [dict(type='PackSegInputs')]]),
]
"""


def metrics_of(monkeypatch, config, checkpoint, folder, *arguments):
    """Test in this process; returns the metrics."""
    module = load_tool('test')
    build = run_config.build_runner

    def build_runner(cfg):
        name_run(cfg)
        return build(cfg)

    monkeypatch.setattr(run_config, 'build_runner', build_runner)
    monkeypatch.setattr('sys.argv', ['test.py', str(config), str(checkpoint), '--work-dir', str(folder), *arguments])
    module.main()
    suffix = ('--tta' in arguments) * '_tta' + ('--tile' in arguments) * '_tiles'
    name = f'test_metrics{suffix}.json'
    return json.loads((folder / name).read_text())


def test_one_plain_view_gives_the_metrics_of_the_plain_test(run, shapes, tmp_path, monkeypatch, capsys):
    config = write_config(tmp_path, shapes, IDENTITY)
    plain = metrics_of(monkeypatch, config, run.full, tmp_path / 'plain')
    assert 'beside' not in capsys.readouterr().out
    before = (tmp_path / 'plain' / 'test_metrics.json').read_bytes()
    augmented = metrics_of(monkeypatch, config, run.full, tmp_path / 'plain', '--tta')
    assert augmented == plain
    assert (tmp_path / 'plain' / 'test_metrics.json').read_bytes() == before
    out = capsys.readouterr().out
    assert 'In percent, beside test_metrics.json of ' in out
    [row] = [line.replace('|', ' ').split() for line in out.splitlines() if line.startswith('| PQ ')]
    assert row == ['PQ', f'{plain["PQ"]:.2f}', f'{plain["PQ"]:.2f}', '+0.00']
    assert {'PQ', 'segm_mAP', 'mIoU'} <= set(plain)

    metrics_of(
        monkeypatch, config, run.full, tmp_path / 'plain', '--tta', '--cfg-options', 'test_dataloader.dataset.indices=3'
    )
    out = capsys.readouterr().out
    assert 'test_metrics.json is not of this checkpoint and these images: no comparison.' in out and 'beside' not in out
    tested = json.loads((tmp_path / 'plain' / 'tested.json').read_text())
    checkpoint = tested['test_metrics.json']['checkpoint']
    assert tested == {
        'test_metrics.json': dict(checkpoint=checkpoint, images=5),
        'test_metrics_tta.json': dict(checkpoint=checkpoint, images=3),
    }
    assert checkpoint.startswith(f'{run.full.resolve()} of 20')


@pytest.fixture(scope='module')
def varied(run, tmp_path_factory) -> Path:
    """A checkpoint that finds many classes: one that is hardly trained may find the same everywhere, however tested."""
    checkpoint = torch.load(run.full)
    generator = torch.Generator().manual_seed(0)
    for name in ('head.query_feat.weight', 'head.class_embed.weight', 'head.mask_embed.4.weight'):
        weight = checkpoint['state_dict'][name]
        weight.copy_(torch.randn(weight.shape, generator=generator))
    path = tmp_path_factory.mktemp('varied') / 'varied.pth'
    torch.save(checkpoint, path)
    return path


def test_two_processes_measure_what_one_measures(varied, shapes, tmp_path, monkeypatch):
    config = write_config(tmp_path, shapes)
    single = metrics_of(
        monkeypatch,
        config,
        varied,
        tmp_path / 'single',
        '--tta',
        '--out',
        str(tmp_path / 'all.pkl'),
        '--show-dir',
        str(tmp_path / 'pictures'),
    )
    assert len(list((tmp_path / 'pictures').glob('*.jpg'))) == 5
    tool = ROOT / 'tools' / 'test.py'
    first, second = run_forked_ranks(2, tool, config, varied, '--tta', '--work-dir', tmp_path / 'double', cwd=tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr[-3000:]
    for text in ('Testing\n', '2 processes, each on: ', '| panoptic quality', 'test 1/'):
        assert first.stdout.count(text) == 1
    assert not second.stdout and 'System environment' not in first.stdout
    assert json.loads((tmp_path / 'double' / 'test_metrics_tta.json').read_text()) == single
    plain = metrics_of(monkeypatch, config, varied, tmp_path / 'plain')
    assert plain != single and plain.keys() == single.keys()


def test_windows_by_the_command_line(varied, shapes, tmp_path, monkeypatch):
    config = write_config(
        tmp_path,
        shapes,
        """
model['postprocessors'].update(panoptic=None, instance=None)
test_evaluator = [dict(type='SemanticIoU')]
""",
    )
    whole = metrics_of(monkeypatch, config, varied, tmp_path / 'whole')
    windows = [
        metrics_of(
            monkeypatch,
            config,
            varied,
            tmp_path / str(width),
            *options,
            '--cfg-options',
            f'model.sliding_window.crop_size=(64,{width})',
            'model.sliding_window.stride=(32,32)',
        )
        for width, options in ((96, ()), (64, ()), (48, ('--tta',)))
    ]
    assert windows[0] == whole  # which images 64 x 96 are
    assert windows[1] != whole and windows[2].keys() == whole.keys()


def test_one_tile_gives_the_metrics_of_the_plain_test(run, shapes, tmp_path, monkeypatch, capsys):
    config = write_config(tmp_path, shapes, '')
    plain = metrics_of(monkeypatch, config, run.full, tmp_path / 'plain')
    assert metrics_of(monkeypatch, config, run.full, tmp_path / 'plain', '--tile', '4096') == plain
    assert 'in tiles' in capsys.readouterr().out
    tiled = metrics_of(monkeypatch, config, run.full, tmp_path / 'plain', '--tile', '48', '--overlap', '16')
    assert tiled.keys() == plain.keys() and tiled != plain
