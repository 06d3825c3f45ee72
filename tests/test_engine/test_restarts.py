"""tools/dist_train.sh with MAX_RESTARTS: when one of several processes dies, all go on from the last checkpoint."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.tiny import ROOT, write_config
from tests.tools import free_port, run_script, tool_env

PYTHON = '#!/bin/sh\nfor argument; do echo "$argument"; done\necho "store $TORCH_DISABLE_SHARE_RDZV_TCP_STORE"\n'


@pytest.mark.parametrize(
    ('env', 'arguments', 'words', 'end'),
    [
        ({}, [], '--nnodes 1 --nproc_per_node 2 --node_rank 0 --master_addr 127.0.0.1 --master_port 29500', ''),
        (
            dict(NNODES='4', NODE_RANK='3', MASTER_ADDR='first', PORT='1234'),
            ['--amp'],
            '--nnodes 4 --nproc_per_node 2 --node_rank 3 --master_addr first --master_port 1234',
            ' --amp',
        ),
        (
            dict(MAX_RESTARTS='3', NNODES='2:4', MASTER_ADDR='first'),
            ['--amp'],
            '--nnodes 2:4 --nproc_per_node 2 --max_restarts 3 --rdzv_backend c10d --rdzv_endpoint first:29500',
            ' --amp --resume',
        ),
        (
            dict(MAX_RESTARTS='1'),
            ['--resume', 'iter_5.pth'],
            '--nnodes 1 --nproc_per_node 2 --max_restarts 1 --rdzv_backend c10d --rdzv_endpoint 127.0.0.1:29500',
            ' --resume iter_5.pth',
        ),
    ],
)
def test_what_torchrun_is_told(tmp_path, env, arguments, words, end):
    python = tmp_path / 'python'
    python.write_text(PYTHON)
    python.chmod(0o755)
    process = subprocess.run(
        ['bash', ROOT / 'tools' / 'dist_train.sh', 'c.py', '2', *arguments],
        env=dict(os.environ, PYTHON=str(python), **env),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    *told, store = process.stdout.splitlines()
    assert ' '.join(told) == f'-m mask2former.apis.torchrun {words} {ROOT}/tools/train.py c.py --launcher pytorch{end}'
    assert store == ('store 1' if 'MAX_RESTARTS' in env else 'store ')


@pytest.mark.slow
def test_a_killed_process_costs_no_saved_iteration_and_changes_no_bit(shapes, tmp_path):
    paths = os.pathsep.join((str(ROOT), str(ROOT / 'projects')))
    options = ['train_cfg.max_iters=16', 'default_hooks.checkpoint.interval=4', 'randomness.seed=0', 'val_cfg=None']
    options += ['val_dataloader=None', 'val_evaluator=None']
    command = ('bash', ROOT / 'tools' / 'dist_train.sh', 'tiny.py', '2', '--cfg-options', *options)
    for name in ('whole', 'killed'):
        (tmp_path / name).mkdir()
        write_config(tmp_path / name, shapes)
    whole = run_script(*command, cwd=tmp_path / 'whole', PYTHONPATH=paths, PORT=free_port())
    assert whole.returncode == 0, whole.stderr[-3000:]

    log = tmp_path / 'log'
    with log.open('w') as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=tmp_path / 'killed',
            env=tool_env(PYTHONPATH=paths, PORT=free_port(), MAX_RESTARTS='1'),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        saved = tmp_path / 'killed' / 'work' / 'iter_8.pth'
        deadline = time.monotonic() + 200
        while not saved.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert saved.is_file(), log.read_text()[-3000:]
        os.kill(rank_of(process.pid, 1), signal.SIGKILL)
        code = process.wait(timeout=250)
    text = log.read_text()
    assert code == 0, text[-3000:]
    assert 'goes on after iteration 8' in text or 'goes on after iteration 12' in text, text[-3000:]
    weights = [torch.load(tmp_path / name / 'work' / 'iter_16.pth')['state_dict'] for name in ('whole', 'killed')]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def rank_of(parent: int, rank: int) -> int:
    """The process below torchrun that has this rank."""
    for child in psutil.Process(parent).children(recursive=True):
        if child.environ().get('RANK') == str(rank) and any(Path(word).name == 'train.py' for word in child.cmdline()):
            return child.pid
    raise AssertionError(f'no process has rank {rank}')
