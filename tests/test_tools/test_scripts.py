"""The shell scripts start the tools."""

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.tiny import ROOT
from tests.tools import run_script


@pytest.mark.parametrize(
    ('script', 'arguments', 'command'),
    [
        (
            'slurm_train.sh',
            ['part', 'job', 'c.py', 'out', '--amp'],
            ['train.py', '--launcher', 'slurm', 'c.py', '--work-dir', 'out', '--amp'],
        ),
        (
            'slurm_test.sh',
            ['part', 'job', 'c.py', 'c.pth', '--out', 'a b.pkl'],
            ['test.py', '--launcher', 'slurm', 'c.py', 'c.pth', '--out', 'a b.pkl'],
        ),
    ],
)
def test_slurm_scripts_call_srun(tmp_path, script, arguments, command):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nfor argument; do echo "$argument"; done\n')
    srun.chmod(srun.stat().st_mode | stat.S_IXUSR)
    env = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='4', GPUS_PER_NODE='2', SRUN_ARGS='--time 10 --exclusive')
    process = run_script('bash', ROOT / 'tools' / script, *arguments, cwd=tmp_path, **env)
    assert process.returncode == 0, process.stderr
    words = process.stdout.splitlines()
    end = words.index('-u')
    assert ' '.join(words[:end]) == (
        '--partition part --job-name job --kill-on-bad-exit=1 --gres gpu:2 --ntasks 4 --ntasks-per-node 2 '
        f'--cpus-per-task 5 --time 10 --exclusive {sys.executable}'
    )
    assert Path(words[end + 1]).samefile(ROOT / 'tools' / command[0])
    assert words[end + 2 :] == command[1:]


@pytest.mark.parametrize('script', ['slurm.sh', 'slurm_train.sh', 'slurm_test.sh', 'dist_train.sh', 'dist_test.sh'])
def test_scripts_say_what_they_need(tmp_path, script):
    process = run_script('bash', ROOT / 'tools' / script, 'one', cwd=tmp_path)
    assert process.returncode == 2
    assert f'usage: tools/{script} ' in process.stderr


@pytest.mark.parametrize('command', [('dist_train.sh', 'config.py'), ('dist_test.sh', 'config.py', 'model.pth')])
@pytest.mark.parametrize('count', ['two', '0', '--amp'])
def test_the_number_of_processes_is_a_number(tmp_path, command, count):
    process = run_script('bash', ROOT / 'tools' / command[0], *command[1:], count, cwd=tmp_path)
    assert process.returncode == 2
    assert f"GPUS must be the number of processes, but is '{count}'" in process.stderr
