"""Whatever ends a training at whatever moment, a whole checkpoint is left, found and resumed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest
import torch

from mask2former.checkpoints.in_folder import checkpoints_in
from mask2former.engine.find_resumable import find_resumable
from mask2former.engine.work_dir_lock import work_dir_lock
from mask2former.errors import CheckpointError, ConfigError
from tests.forked import run_forked
from tests.tiny import ROOT, train

# Trains in a process that is killed while it writes the checkpoint of iteration 2.
KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
import torch
from tests.tiny import train
save = torch.save
def save_half(content, file):
    save(content, file)
    if 'iter_2.pth' in str(file.name):
        file.flush()
        os.truncate(file.name, os.path.getsize(file.name) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
torch.save = save_half
train({config!r}, work_dir={work_dir!r}, train_cfg__max_iters=2, train_cfg__val_interval=1, **{options!r})
"""


def flip(path) -> None:
    """Flip a bit in the middle of the largest record of a file of torch.save."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size)
    data[record.header_offset + 200 + record.file_size // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize('background', [False, True])
def test_killed_while_saving_the_only_checkpoint_that_is_kept(run, tmp_path, background):
    options = dict(
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=1,
        default_hooks__checkpoint__background=background,
    )
    source = KILLED.format(root=str(ROOT), config=str(run.config), work_dir=str(tmp_path), options=options)
    (tmp_path / 'killed.py').write_text(source)
    result = run_forked(tmp_path / 'killed.py')
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not (tmp_path / 'iter_2.pth').exists()
    runner = train(run.config, work_dir=str(tmp_path), train_cfg__max_iters=3, resume=True, **options)
    assert (
        'resumed epoch: 0, iter: 1'
        in next(tmp_path.rglob('20*_*/*.log'))
        .parent.parent.joinpath(runner.timestamp, f'{runner.timestamp}.log')
        .read_text()
    )
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_3.pth']


def test_a_best_checkpoint_outlives_the_failure_to_save_a_better_one(run, tmp_path, monkeypatch):
    options = dict(
        train_cfg__max_iters=2,
        train_cfg__val_interval=1,
        default_hooks__checkpoint__interval=5,
        default_hooks__checkpoint__save_best='PQ',
        default_hooks__checkpoint__rule='greater',
    )
    values = iter([1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(
        'mask2former.evaluation.PanopticQuality.compute_metrics', lambda self, results: dict(PQ=next(values))
    )
    save = torch.save

    def full_disk(content, file, **kwargs):
        if content['meta']['iter'] == 2:
            raise OSError(28, 'No space left on device')
        save(content, file, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, 'save', full_disk)
        with pytest.raises(OSError, match='No space left'):
            train(run.config, work_dir=str(tmp_path / 'full'), **options)
    assert [path.name for path in (tmp_path / 'full').glob('best*.pth')] == ['best_PQ_iter_1.pth']
    assert not list((tmp_path / 'full').glob('*.part'))
    train(run.config, work_dir=str(tmp_path / 'free'), **options)
    assert [path.name for path in (tmp_path / 'free').glob('best*.pth')] == ['best_PQ_iter_2.pth']


@pytest.mark.parametrize('note', [None, '', '\0garbage', '/elsewhere/iter_1.pth', '/elsewhere/iter_9.pth'])
def test_the_newest_whole_checkpoint_is_found_whatever_last_checkpoint_says(tmp_path, note):
    for number in (1, 2, 10):
        torch.save(dict(state_dict={'w': torch.full((1000,), number)}), tmp_path / f'iter_{number}.pth')
    if note is not None:
        (tmp_path / 'last_checkpoint').write_text(note)
    newest = tmp_path / 'iter_10.pth'
    assert find_resumable(tmp_path) == str(newest)
    flip(newest)
    assert find_resumable(tmp_path) == str(tmp_path / 'iter_2.pth')
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    assert find_resumable(tmp_path) == str(tmp_path / 'iter_2.pth')
    for number in (1, 2):
        (tmp_path / f'iter_{number}.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match=f"None of the 3 checkpoints in '{tmp_path}' is whole: start again"):
        find_resumable(tmp_path)


def test_a_folder_of_checkpoints_elsewhere_and_none_at_all(tmp_path):
    work, out = tmp_path / 'work', tmp_path / 'out'
    work.mkdir(), out.mkdir()
    assert find_resumable(work) is None
    torch.save({}, out / 'iter_3.pth')
    assert find_resumable(work) is None
    (work / 'last_checkpoint').write_text(str(out / 'iter_3.pth'))
    assert find_resumable(work) == str(out / 'iter_3.pth')
    torch.save({}, work / 'iter_1.pth')  # of a copy of ``out`` without its newest: the copy's is meant
    assert find_resumable(work) == str(work / 'iter_1.pth')


def test_a_flipped_bit_is_neither_loaded_nor_resumed(run, tmp_path):
    path = tmp_path / 'iter_4.pth'
    shutil.copy(run.half, path)
    flip(path)
    for options in (dict(load_from=str(path)), dict(load_from=str(path), resume=True)):
        with pytest.raises(CheckpointError, match="iter_4.pth' is no checkpoint or is damaged"):
            train(run.config, work_dir=str(tmp_path / 'work'), **options)


def test_an_earlier_training_is_gone_on_with_or_removed(run, tmp_path):
    options = dict(work_dir=str(tmp_path), train_cfg__max_iters=1, train_cfg__val_begin=2)
    old = [tmp_path / name for name in ('iter_99.pth', 'best_PQ_iter_9.pth', 'last_checkpoint', 'curve.json')]
    for path in old:
        path.write_bytes(b'of another training')
    refusal = "has checkpoints of an earlier training, up to 'iter_99.pth': give --resume to go on with it, --overwrite"
    with pytest.raises(ConfigError, match=refusal):
        train(run.config, **options)
    assert all(path.read_bytes() == b'of another training' for path in old)
    train(run.config, **options, overwrite=True)
    assert checkpoints_in(tmp_path) == [tmp_path / 'iter_1.pth'] and not any(path.exists() for path in old[:2])
    [config] = tmp_path.glob('*.py')
    assert 'overwrite' not in config.read_text()
    (tmp_path / 'iter_2.pth.4711.part').write_bytes(b'of a killed process')
    train(run.config, **{**options, 'train_cfg__max_iters': 2}, resume=True)
    assert not list(tmp_path.glob('*.part'))
    assert [path.name for path in checkpoints_in(tmp_path)] == ['iter_1.pth', 'iter_2.pth']


def test_two_trainings_do_not_share_a_work_directory(run, tmp_path):
    holder = subprocess.Popen(
        [
            sys.executable,
            '-c',
            'import sys; from mask2former.engine.work_dir_lock import work_dir_lock\n'
            f'with work_dir_lock({str(tmp_path)!r}): print("held", flush=True); sys.stdin.read()',
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b'held\n'
        with pytest.raises(
            ConfigError, match=rf"Another training \(process {holder.pid} on .*{tmp_path}': wait for its"
        ):
            train(run.config, work_dir=str(tmp_path))
        assert not list(tmp_path.glob('*.pth')) and not list(tmp_path.glob('*.py'))
        (tmp_path / '.training.json').write_text(json.dumps(['damaged']))
        with pytest.raises(ConfigError, match='Another training  ?is running in'):
            train(run.config, work_dir=str(tmp_path))
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    with work_dir_lock(tmp_path):  # what a killed process held is free
        pass
