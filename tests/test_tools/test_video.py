"""tools/train.py, tools/dist_train.sh, tools/test.py and the file for a test server, of a model of videos."""

import json
import math
import re
import zipfile

import pytest
import torch

from mask2former.data_tools.shapes import generate_moving_shapes
from tests.forked import run_forked_ranks
from tests.tiny import ROOT
from tests.tools import load_tool

CONFIG = """
_base_ = '{root}/configs/shapes/video-mask2former_efficientnet-lite0_moving-shapes.py'
model = dict(
    backbone=dict(init_cfg=None),
    pixel_decoder=dict(embed_dims=32, mask_dims=32, num_layers=1, num_heads=2, ffn_dims=32),
    head=dict(num_layers=1, num_queries=10, num_heads=2, ffn_dims=32),
    criterion=dict(num_points=64))
train_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}/'))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}/'))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
visualizer = dict(name='{folder}')
"""


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos') / 'data'
    generate_moving_shapes(folder, num_train=4, num_val=3, size=(32, 48), frames=(3, 5), seed=0)
    return folder


@pytest.fixture
def video_config(videos, tmp_path):
    path = tmp_path / 'video.py'
    path.write_text(CONFIG.format(root=ROOT.as_posix(), data=videos.as_posix(), folder=tmp_path.as_posix()))
    return path


def test_train_test_and_submit(tool, video_config, videos, tmp_path, monkeypatch, capsys):
    runner = tool('train', video_config, '--work-dir', tmp_path / 'work')
    checkpoint = tmp_path / 'work' / 'iter_2.pth'
    assert runner.iter == 2 and checkpoint.is_file()
    printed = capsys.readouterr().out
    assert 'train.json: 4 videos, ' in printed and re.search(r'batch +1 video\n', printed)
    tool('test', video_config, checkpoint, '--work-dir', tmp_path / 'test', '--out', tmp_path / 'all.pkl')
    metrics = json.loads((tmp_path / 'test' / 'test_metrics.json').read_text())
    assert {'track_mAP', 'track_AR_10'} <= metrics.keys()

    arguments = ['--submission', 'instance', '--submission-format', 'youtube-vis', '--submission-dir', str(tmp_path)]
    monkeypatch.setattr('sys.argv', ['eval_metric.py', str(video_config), str(tmp_path / 'all.pkl'), *arguments])
    load_tool('analysis_tools/eval_metric').main()
    path = capsys.readouterr().out.split()[-1]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ['results.json']
        tracks = json.loads(archive.read('results.json'))
    truth = json.loads((videos / 'val.json').read_text())
    lengths = {video['id']: len(video['file_names']) for video in truth['videos']}
    assert len(lengths) == 3 and {track['video_id'] for track in tracks} == set(lengths)
    assert {track['category_id'] for track in tracks} <= {category['id'] for category in truth['categories']}
    assert all(len(track['segmentations']) == lengths[track['video_id']] for track in tracks)
    masks = [rle for track in tracks for rle in track['segmentations'] if rle is not None]
    assert masks and all(rle['size'] == [32, 48] and isinstance(rle['counts'], str) for rle in masks)


def test_two_processes_train(video_config, tmp_path):
    tool = ROOT / 'tools' / 'train.py'
    first, second = run_forked_ranks(2, tool, video_config, '--work-dir', tmp_path / 'work', cwd=tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr[-3000:]
    assert '2 processes, each on: ' in first.stdout
    [log] = (tmp_path / 'work').rglob('scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [row['loss'] for row in rows if 'loss' in row]
    assert len(losses) == 2 and all(math.isfinite(loss) for loss in losses)
    assert any('track_mAP' in row for row in rows)
    state = torch.load(tmp_path / 'work' / 'iter_2.pth', weights_only=False)['state_dict']
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
