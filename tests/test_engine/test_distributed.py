"""Two processes, started by the scripts, do what one does: the same parameters after training, the same metrics."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from tests.forked import run_forked_ranks
from tests.tiny import ROOT, train, write_config
from tests.tools import free_port, load_tool, run_script

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='compares CPU processes to the last digit; hide the GPUs (CUDA_VISIBLE_DEVICES=)'
)
PATH = os.pathsep.join((str(ROOT), str(ROOT / 'projects')))  # this checkout's package, whichever is installed
EXTRA = """
custom_imports = dict(imports=['mask2former', 'tests.test_engine.checked_model'], allow_failed_imports=False)
model.update(type='CheckedModel', log_dir='{log_dir}')
# Flat colours make many points equally uncertain: which of them are chosen is a matter of the last bit.
model['criterion'].update(importance_ratio=0.0)
train_pipeline = [dict(type='LoadImage'), dict(type='LoadPanopticSegments'), dict(type='PackSegInputs')]
train_dataloader.update(batch_size={batch_size}, sampler=dict(shuffle=False))
train_dataloader['dataset'].update(pipeline=train_pipeline)
train_cfg = dict(max_iters=3, val_interval=3)
default_hooks['checkpoint'].update(interval=2)
default_hooks.update(logger=dict(interval=1))
randomness = dict(seed=3)
"""


class Runs(NamedTuple):
    """The folders of two trainings of three steps of four images each: by one process and by two; each has the
    ``config``, what the model noted in ``rank*.jsonl``, and the checkpoint ``work/iter_3.pth``."""

    single: Path
    double: Path


def keep_segments(data: Path, image: int, count: int) -> None:
    """Make all but the first segments of a training image void."""
    ann_file = data / 'annotations' / 'panoptic_train.json'
    content = json.loads(ann_file.read_text())
    annotation = content['annotations'][image]
    annotation['segments_info'] = annotation['segments_info'][:count]
    ann_file.write_text(json.dumps(content))
    png = data / 'annotations' / 'panoptic_train' / annotation['file_name']
    colors = np.array(Image.open(png)).astype(np.int64)  # (H, W, 3)
    ids = colors @ [1, 256, 256 * 256]
    colors[~np.isin(ids, [segment['id'] for segment in annotation['segments_info']])] = 0
    Image.fromarray(colors.astype(np.uint8)).save(png)


@pytest.fixture(scope='module')
def data(shapes, tmp_path_factory) -> Path:
    """The shapes; of the second step's batch, images 4 to 7, only the first has a segment, and only one."""
    folder = tmp_path_factory.mktemp('uneven') / 'shapes'
    shutil.copytree(shapes, folder)
    for image, count in ((0, 2), (4, 1), (5, 0), (6, 0), (7, 0)):
        keep_segments(folder, image, count)
    return folder


@pytest.fixture(scope='module')
def runs(data, tmp_path_factory) -> Runs:
    single, double = tmp_path_factory.mktemp('single'), tmp_path_factory.mktemp('double')
    for folder, batch_size in ((single, 4), (double, 2)):
        write_config(folder, data, EXTRA.format(log_dir=folder, batch_size=batch_size))
    train(single / 'tiny.py')
    process = run_script(
        'bash', ROOT / 'tools' / 'dist_train.sh', 'tiny.py', '2', cwd=double, PYTHONPATH=PATH, PORT=free_port()
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return Runs(single, double)


def steps(folder: Path, rank: int) -> list[dict]:
    return [json.loads(line) for line in (folder / f'rank{rank}.jsonl').read_text().splitlines()]


def assert_same_parameters(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11, msg=lambda m, name=name: f'{name}: {m}')


def test_two_processes_share_the_batches_of_one(runs):
    single, ranks = steps(runs.single, 0), [steps(runs.double, rank) for rank in (0, 1)]
    assert len(single) == len(ranks[0]) == len(ranks[1]) == 3
    for number, step in enumerate(single):
        shared = [ranks[0][number], ranks[1][number]]
        assert sorted(shared[0]['images'] + shared[1]['images']) == sorted(step['images'])
    # What the comparison of the parameters is about.
    segments = [[sum(rank[number]['segments']) for rank in ranks] for number in range(3)]
    assert segments[0][0] != segments[0][1]
    assert segments[1] == [1, 0]


def test_the_loss_needs_one_collective(runs):
    for rank in (0, 1):
        assert [step['collectives'] for step in steps(runs.double, rank)] == [['all_reduce']] * 3


def test_two_processes_train_the_parameters_of_one(runs):
    single, double = (torch.load(folder / 'work' / 'iter_3.pth')['state_dict'] for folder in runs)
    assert_same_parameters(double, single)


def test_four_processes_train_the_parameters_of_one(runs, data, tmp_path):
    """Of an image each; in the second step three of them have no segment."""
    write_config(tmp_path, data, EXTRA.format(log_dir=tmp_path, batch_size=1))
    ranks = run_forked_ranks(4, ROOT / 'tools' / 'train.py', 'tiny.py', cwd=tmp_path)
    assert not any(process.returncode for process in ranks), ranks[0].stderr[-3000:]
    assert [sum(steps(tmp_path, rank)[1]['segments']) for rank in range(4)] == [1, 0, 0, 0]
    single, shared = (torch.load(folder / 'work' / 'iter_3.pth')['state_dict'] for folder in (runs.single, tmp_path))
    assert_same_parameters(shared, single)


def test_two_processes_log_the_losses_of_one(runs):
    """Of each process the losses are those of its own images."""
    single, double = (logged(folder) for folder in runs)
    assert len(single) == len(double) == 3
    for expected, found in zip(single, double):
        assert {'loss', 'loss_class', 'loss_mask', 'loss_dice', 'loss_aux', 'grad_norm'} <= found.keys()
        assert found == pytest.approx(expected, rel=1e-9)


def logged(folder: Path) -> list[dict]:
    """The losses and the gradient's norm of each step."""
    [path] = (folder / 'work').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    wanted = [{key: value for key, value in line.items() if 'loss' in key or key == 'grad_norm'} for line in lines]
    return [line for line in wanted if line]


def test_two_processes_go_on_where_one_was(runs, data, tmp_path):
    write_config(tmp_path, data, EXTRA.format(log_dir=tmp_path, batch_size=2))
    half = runs.single / 'work' / 'iter_2.pth'
    tool = ROOT / 'tools' / 'train.py'
    ranks = run_forked_ranks(2, tool, 'tiny.py', '--resume', half, cwd=tmp_path)
    assert not any(process.returncode for process in ranks), ranks[0].stderr[-3000:]
    assert len(steps(tmp_path, 0)) == 1
    single, resumed = (torch.load(folder / 'work' / 'iter_3.pth')['state_dict'] for folder in (runs.single, tmp_path))
    assert_same_parameters(resumed, single)


def test_two_processes_measure_what_one_measures(runs, monkeypatch):
    checkpoint = runs.single / 'work' / 'iter_3.pth'
    tool = ROOT / 'tools' / 'test.py'
    ranks = run_forked_ranks(2, tool, 'tiny.py', checkpoint, '--out', 'all.pkl', cwd=runs.double)
    assert not any(process.returncode for process in ranks), ranks[0].stderr[-3000:]
    monkeypatch.chdir(runs.single)
    monkeypatch.setattr('sys.argv', ['test.py', 'tiny.py', str(checkpoint), '--out', 'all.pkl'])
    load_tool('test').main()
    single, double = (json.loads((folder / 'work' / 'test_metrics.json').read_text()) for folder in runs)
    assert single == double
    for name in ('PQ', 'PQ_th', 'PQ_st', 'segm_mAP', 'mIoU'):
        assert 0.1 < single[name] < 99, single
    single, double = (pickle.loads((folder / 'all.pkl').read_bytes()) for folder in runs)
    assert [result['img_id'] for result in single] == [result['img_id'] for result in double]
    assert len(single) == 5
    assert [result['panoptic'] for result in single] == [result['panoptic'] for result in double]


def test_accumulated_batches_train_the_parameters_of_one(data, tmp_path):
    """A batch of four against four batches of one, of which in the second step three have no segment."""
    states = []
    for batch_size, iterations in ((4, 3), (1, 12)):
        folder = tmp_path / str(batch_size)
        folder.mkdir()
        write_config(
            folder,
            data,
            EXTRA.format(log_dir=folder, batch_size=batch_size)
            + f'param_scheduler = []\noptim_wrapper = dict(accumulative_counts={4 // batch_size})\n'
            + f'train_cfg = dict(max_iters={iterations}, val_interval={iterations})\n',
        )
        train(folder / 'tiny.py')
        states.append(torch.load(folder / 'work' / f'iter_{iterations}.pth')['state_dict'])
    assert [sum(step['segments']) for step in steps(tmp_path / '1', 0)[4:8]] == [1, 0, 0, 0]
    assert_same_parameters(states[1], states[0])
