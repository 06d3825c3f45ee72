"""Progress of long work: a bar that moves in a terminal, plain lines elsewhere."""

import sys

from mask2former.progress import ProgressBar


def test_plain_lines_where_there_is_no_terminal(capsys):
    bar = ProgressBar(total=4, desc='drawing')
    now = [bar.start_t]
    bar._time = lambda: now[0]
    for seconds in (3, 9, 12, 13):  # a line is due every ten seconds
        now[0] = bar.start_t + seconds
        bar.update()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split('|')[0] for line in lines] == ['drawing:   0%', 'drawing:  75%', 'drawing: 100%']
    assert all('\r' not in line for line in lines)


def test_a_bar_moves_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    with ProgressBar(total=2, desc='drawing') as bar:
        bar.update(2)
    assert capsys.readouterr().err.count('\r') >= 2
