"""The history of the benchmarks is what git has of their results."""

import json
import subprocess
import sys

import pytest

from benchmarks import history
from mask2former.errors import UserError


def row(name, seconds, peak, **more):
    return dict(name=name, seconds_median=seconds, peak_mb=peak, **more)


@pytest.fixture
def folder(tmp_path):
    """Results of three commits; the last of them took a file away."""

    def commit(**files):
        for name, content in files.items():
            (tmp_path / f'{name}.json').write_text(json.dumps(content))
        git('add', '-A')
        git('commit', '-qm', 'results')

    def git(*arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'commit.gpgsign=false']
        subprocess.run(['git', '-C', str(tmp_path), *identity, *arguments], check=True)

    git('init', '-q')
    alone, scaling = [row('mask2former', 1, 1)], [row(name, 1, 1, varied='size') for name in ('mask2former', 'mmdet')]
    peers = [row('mmdet', 4, 400), row('transformers', 5, 300)]
    commit(train=[row('mask2former', 3.0, 150), *peers], alone=alone, scaling=scaling, gone=[*alone, *peers])
    commit(train=[row('mask2former', 2.0, 150), *peers], other=dict(forward=1))
    (tmp_path / 'gone.json').unlink()
    commit()
    return tmp_path


def test_ratios_are_to_the_better_peer(folder, monkeypatch, capsys):
    found = list(history.versions(folder / 'train.json'))
    assert [(x.seconds, x.time_ratio, x.memory_ratio) for x in found] == [(3.0, 0.75, 0.5), (2.0, 0.5, 0.5)]
    assert len(list(history.versions(folder / 'gone.json'))) == 1
    monkeypatch.setattr(sys, 'argv', ['history', str(folder), '--plot', str(folder / 'plot.svg')])
    history.main()
    printed = capsys.readouterr().out
    assert '0.75' in printed and 'alone' not in printed and 'scaling' not in printed and 'other' not in printed
    assert (folder / 'plot.svg').stat().st_size > 5000


def test_a_folder_without_results(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['history', str(tmp_path)])
    with pytest.raises(UserError, match='has no committed results with a peer'):
        history.main()
    (tmp_path / 'x.json').write_text('[]')
    with pytest.raises(UserError, match='git knows no history'):
        history.main()
