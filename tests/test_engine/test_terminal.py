"""Whom the terminal hears, and its line that moves."""

import logging
import sys

import pytest
from mmengine.logging import MMLogger, print_log

from mask2former.engine.terminal import Progress, quieten, say, speaker
from tests.tools import FakeTerminal


def say_as(module: str, level: int, text: str) -> None:
    """Run code of a module of this name that logs."""
    exec('print_log(text, "current", level)', dict(__name__=module, print_log=print_log, text=text, level=level))


@pytest.mark.parametrize(
    ('module', 'level', 'text', 'shown'),
    [
        ('mmengine.runner.runner', logging.INFO, 'Hooks', ''),
        ('mmcv.cnn', logging.INFO, 'Norms', ''),
        ('mmengine.runner.runner', logging.WARNING, 'No seed', 'Warning: No seed\n'),
        ('mmengine.fileio.file_client', logging.WARNING, '"FileClient" will be deprecated in future.', ''),
        ('mask2former.engine.loops', logging.INFO, 'Goes on', 'Goes on\n'),
        ('mask2former.engine.loops', logging.WARNING, '[red]Slow[/red]', 'Warning: [red]Slow[/red]\n'),
        ('my_hooks', logging.INFO, 'Mine', 'Mine\n'),
        ('mmdet.models', logging.ERROR, 'Broken', 'Error: Broken\n'),
    ],
)
def test_who_is_heard(tmp_path, capsys, module, level, text, shown):
    logger = MMLogger.get_instance(f'{tmp_path}', log_file=str(tmp_path / 'all.log'))
    quieten(logger)
    say_as(module, level, text)
    assert capsys.readouterr().out == shown
    assert text in (tmp_path / 'all.log').read_text()


def test_speaker_is_who_calls():
    assert speaker() == 'tests'


def test_without_a_terminal_lines_come_at_intervals(capsys, monkeypatch):
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr('time.monotonic', lambda: next(now))
    line = Progress('train', total=6, done=1, seconds=30)
    for step in range(5):
        line.advance('short', lambda step=step: f'long {step}')
    line.close()
    assert capsys.readouterr().out.splitlines() == ['train 2/6, long 0', 'train 4/6, long 2', 'train 6/6, long 4']


def test_in_a_terminal_one_line_moves(monkeypatch):
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, 'stdout', terminal)
    line = Progress('train', total=4, done=0, seconds=30)
    line._bar.mininterval = 0
    for step in range(4):
        line.advance(f'loss {step}', lambda: 'long')
        assert f'{step + 1}/4, loss {step}' in terminal.getvalue().split('\r')[-1]
    line.close()
    assert 'long' not in terminal.getvalue() and '\n' not in terminal.getvalue()


def test_warnings_have_a_colour_in_a_terminal_alone(monkeypatch, capsys):
    monkeypatch.delenv('NO_COLOR', raising=False)
    say('Slow', 33)
    assert capsys.readouterr().out == 'Slow\n'
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, 'stdout', terminal)
    say('Slow', 33)
    assert terminal.getvalue() == '\033[33mSlow\033[0m\n'


def test_a_reader_that_has_gone_away_ends_no_training(monkeypatch):
    """As in `train.py | head`."""

    class Gone(FakeTerminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, 'stdout', Gone())
    say('Goes on')
