"""Progress of long work: a bar that moves in a terminal, plain lines elsewhere."""

import sys

from mask2former.progress import ProgressBar


def test_plain_lines_where_there_is_no_terminal(capsys):
    bar = ProgressBar(total=100, desc='drawing')
    now = [bar.start_t]
    bar._time = lambda: now[0]
    # A line is due every ten seconds, also when the steps, fast at first, become slow.
    for seconds in [*(0.125 * i for i in range(96)), 20, 31, 35, 36]:
        now[0] = bar.start_t + seconds
        bar.update()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    percent = [int(line.split(':')[1].split('%')[0]) for line in lines]
    assert percent == [0, 81, 97, 98, 100] and lines[0].startswith('drawing: ')
    assert all('\r' not in line for line in lines)


def test_a_bar_moves_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    with ProgressBar(total=2, desc='drawing') as bar:
        bar.update(2)
    assert capsys.readouterr().err.count('\r') >= 2
