"""A training that a signal interrupts leaves a checkpoint."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask2former.apis.cli import run_tool
from mask2former.registry import HOOKS
from tests.tiny import ROOT
from tests.tools import tool_env

NO_VAL = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends this process a signal at the start of its second iteration."""

    def __init__(self, number: int, times: int = 1) -> None:
        self.number, self.times = number, times

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        for _ in range(self.times if batch_idx == 1 else 0):
            signal.raise_signal(self.number)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_where_the_training_is(tool, run, tmp_path, number):
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught:
        tool(
            'train',
            run.config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            'train_cfg.max_iters=8',
            change=lambda runner: runner.register_hook(SignalHook(number)),
        )
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is handler
    assert Path((tmp_path / 'last_checkpoint').read_text()).name == 'iter_2.pth'
    checkpoint = torch.load(tmp_path / 'iter_2.pth')
    assert checkpoint['meta']['iter'] == 2
    assert checkpoint['param_schedulers'][0]['last_step'] == 2  # all of the iteration's hooks have run


def test_a_second_signal_ends_the_training_at_once(tool, run, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        run_tool(
            lambda: tool(
                'train',
                run.config,
                '--work-dir',
                tmp_path,
                change=lambda runner: runner.register_hook(SignalHook(signal.SIGINT, times=2)),
            )
        )
    assert ended.value.code == 130  # as shells have it
    assert signal.getsignal(signal.SIGINT) is handler
    assert not list(tmp_path.glob('*.pth'))


def test_a_process_that_is_terminated_leaves_a_checkpoint(config, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / 'tools' / 'train.py',
            config,
            '--cfg-options',
            'train_cfg.max_iters=100000',
            'train_dataloader.num_workers=1',
            'default_hooks.logger.interval=1',
            'default_hooks.checkpoint.interval=90000',
            *NO_VAL,
        ],
        env=tool_env(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:
            if line.startswith('train '):
                break
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, output
    assert 'go on from there with --resume' in output
    assert 'Traceback' not in output
    assert torch.load((tmp_path / 'work' / 'last_checkpoint').read_text())['meta']['iter'] >= 1
