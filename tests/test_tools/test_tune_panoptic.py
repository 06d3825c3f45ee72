"""tools/analysis_tools/tune_panoptic.py finds the thresholds of panoptic fusion that suit a model."""

import json
import re
import sys

import pytest

from tests.tools import load_tool


def run(monkeypatch, tiny_run, *arguments):
    words = ['tune_panoptic.py', str(tiny_run.config), str(tiny_run.checkpoint), *map(str, arguments)]
    monkeypatch.setattr(sys, 'argv', words)
    monkeypatch.setenv('COLUMNS', '200')
    load_tool('analysis_tools/tune_panoptic').main()


def test_the_config_s_thresholds_and_the_best(monkeypatch, capsys, tiny_run, tmp_path):
    found = tmp_path / 'found.json'
    run(monkeypatch, tiny_run, '--score-thr', 0.0, '--overlap-thr', 0.0, 0.9, '--images', 2, '--json', found)
    printed = capsys.readouterr().out
    rows = json.loads(found.read_text())
    assert {(row['score_thr'], row['overlap_thr']) for row in rows} == {
        (score, overlap) for score in (0.0, 0.1) for overlap in (0.0, 0.1, 0.9)
    }
    assert 'The config has 0.1 and 0.1: PQ' in printed and 'score_thr 0.1' in printed
    pq, score, overlap = re.search(r'The best: PQ (\S+) by .*score_thr=(\S+) .*overlap_thr=(\S+)', printed).groups()
    best = max(rows, key=lambda row: row['PQ'])
    assert float(pq) == round(best['PQ'], 1)
    assert (
        dict(score_thr=float(score), overlap_thr=float(overlap)).items()
        <= max(rows, key=lambda row: (row['PQ'], row['overlap_thr'], row['score_thr'])).items()
    )


def test_thresholds_that_are_none(monkeypatch, capsys, tiny_run):
    with pytest.raises(SystemExit):
        run(monkeypatch, tiny_run, '--overlap-thr', 1.5)
    assert 'not between 0 and 1' in capsys.readouterr().err
