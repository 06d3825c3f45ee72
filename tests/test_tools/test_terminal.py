"""What the terminal shows of a run, and that the log file and the logged values keep everything."""

import json
import sys
from pathlib import Path

import pytest

from mask2former.apis.cli import run_tool
from mask2former.engine import TerminalHook
from tests.tools import FakeTerminal

ENVIRONMENT, CONFIG, HOOKS = 'System environment', "type='SegIterTrainLoop'", 'Hooks will be executed'


def test_a_training_in_a_pipe(tool, config, capsys):
    runner = tool('train', config, '--cfg-options', 'default_hooks.logger.interval=2', 'train_cfg.val_interval=2')
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == 'Training'
    first = next(index for index, line in enumerate(lines) if line.startswith('train 1/4, '))
    assert first < 14
    summary = '\n'.join(lines[:first])
    for text in (
        str(config),
        'Mask2Former, EfficientNetLite, ',
        ': 8 images, 9 classes (5 things, 4 stuff)',
        '4, or 1 epochs',
    ):
        assert text in summary
    for text in ('loss', 'class', 'mask', 'dice', 'aux', 'lr', 'left', 's an iteration'):
        assert text in lines[first]
    assert sum(line.startswith('train ') for line in lines) == 2  # the first, and the last
    assert out.count('panoptic quality') == out.count('| semantic') == 2 and 'Validation after iteration 2' in out
    assert f'Checkpoint: {runner.work_dir}/iter_4.pth' in out
    # With the options of the run, which the config in its folder has.
    assert lines[-1] == f'Test it: python tools/test.py {runner.work_dir}/{config.name} {runner.work_dir}/iter_4.pth'
    log = next(Path(runner.work_dir).glob('*/*.log')).read_text()
    for text in (ENVIRONMENT, CONFIG, HOOKS, 'Iter(train) [2/4]', 'Iter(val)', 'FileClient', 'panoptic quality'):
        assert text in log
    for text in (ENVIRONMENT, CONFIG, HOOKS, 'Iter(train)', 'FileClient'):
        assert text not in out
    scalars = [json.loads(line) for line in open(f'{runner.log_dir}/vis_data/scalars.json')]
    assert [line['step'] for line in scalars if 'loss' in line] == [2, 4]
    assert len([line for line in scalars if 'PQ' in line]) == 2


def test_a_training_in_a_terminal(tool, config, monkeypatch):
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, 'stdout', terminal)
    tool('train', config, '--cfg-options', 'default_hooks.logger.interval=2')
    out = terminal.getvalue()
    assert out.count('Training\n') == 1 and '4/4, 0:00:00 left, loss ' in out
    assert [line.split('  ')[0] for line in out.replace('\r', '\n').splitlines() if '  loss ' in line] == ['2/4', '4/4']
    assert 'validate 100 %' in out and ENVIRONMENT not in out


def test_the_whole_log_on_request(tool, config, capsys):
    tool(
        'train',
        config,
        '--cfg-options',
        'default_hooks.terminal=None',
        'train_cfg.max_iters=1',
        'train_cfg.val_begin=2',
    )
    out = capsys.readouterr().out
    assert ENVIRONMENT in out and CONFIG in out and HOOKS in out and 'Training\n' not in out


def test_an_error_takes_the_line_away(tool, config, monkeypatch):
    monkeypatch.setattr(sys, 'stdout', FakeTerminal())
    runners = []
    with pytest.raises(SystemExit):
        run_tool(
            lambda: tool('train', config, '--cfg-options', 'model.data_preprocessor.std=[0,0,0]', change=runners.append)
        )
    [hook] = [hook for hook in runners[0].hooks if isinstance(hook, TerminalHook)]
    assert not hook._lines
