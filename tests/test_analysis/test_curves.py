"""Tables and pictures of a study's curves."""

import json

import pytest

from mask2former.analysis.curves import at_seconds, collect, equal_time, make_report, read_results
from mask2former.analysis.plots import plot_curves
from mask2former.analysis.study import read_study
from mask2former.errors import ConfigError, DataError

from .test_study import write


def curve(seconds, pq):
    return [dict(iter=4 * i, seconds=s, PQ=p, PQ_th=p / 2) for i, (s, p) in enumerate(zip(seconds, pq), 1)]


@pytest.fixture
def results():
    runs = [
        dict(variant='a', seed=0, curve=curve((10.0, 20.0), (10.0, 30.0))),
        dict(variant='b', seed=0, curve=curve((8.0, 16.0), (5.0, 15.0))),
        dict(variant='a', seed=1, curve=curve((12.0, 24.0), (20.0, 40.0))),
    ]
    return dict(study='mine', max_iters=8, runs=runs)


def test_between_points_lies_a_straight_line(results):
    a = results['runs'][0]['curve']
    assert at_seconds(a, 10.0) == dict(iter=4, seconds=10.0, PQ=10.0, PQ_th=5.0)
    assert at_seconds(a, 15.0) == dict(iter=6, seconds=15.0, PQ=20.0, PQ_th=10.0)
    for seconds in (9.0, 21.0):
        with pytest.raises(ConfigError, match='from 10 to 20 seconds'):
            at_seconds(a, seconds)


def test_report_has_means_and_extremes(results):
    assert equal_time(results) == 16.0
    by_iterations, by_time = make_report(results).split('After 16 seconds')
    assert '| a | 2 | 35.0 (30.0 to 40.0) | 17.5 (15.0 to 20.0) | 8 | 22 |' in by_iterations
    assert '| b | 1 | 15.0 | 7.5 | 8 | 16 |' in by_iterations
    # At 16 s the first run of `a` is 6/10, the second 4/12 of the way from its first to its last point.
    assert '| a | 2 | 24.3 (22.0 to 26.7) | 12.2 (11.0 to 13.3) | 6 | 16 |' in by_time
    assert '| variant | runs | PQ | PQ things | iterations | seconds |' in by_time


def test_a_run_that_is_over_before_another_is_measured(results):
    results['runs'][1]['curve'] = curve((3.0, 6.0), (5.0, 15.0))
    report = make_report(results)
    assert '| b | 1 | 15.0 | 7.5 | 8 | 6 |' in report and 'validate more often' in report


def test_finished_runs_are_collected(tmp_path):
    study = read_study(write(tmp_path))
    for folder, seconds in (('a/seed_0', (1.0, 2.0)), ('a/seed_1', (1.0,)), ('b/seed_0', (3.0, 4.0))):
        (tmp_path / folder).mkdir(parents=True)
        points = [dict(point, other=1.0) for point in curve(seconds, (1.0, 2.0))]
        (tmp_path / folder / 'curve.json').write_text(json.dumps(points))
    found = collect(study, tmp_path)
    assert found['study'] == 'mine' and found['max_iters'] == 8
    assert [(run['variant'], run['seed']) for run in found['runs']] == [('a', 0), ('b', 0)]
    assert found['runs'][0]['curve'] == curve((1.0, 2.0), (1.0, 2.0))
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(found))
    assert read_results(path) == found


@pytest.mark.parametrize(
    'text', ['{', '{}', '[]', '{"runs": []}', '{"runs": [{"variant": "a", "seed": 0, "curve": []}]}']
)
def test_other_files_are_no_results(tmp_path, text):
    path = tmp_path / 'results.json'
    path.write_text(text)
    with pytest.raises(DataError, match='no results.json of a study with a finished run'):
        read_results(path)


def test_the_same_curves_give_the_same_picture(results, tmp_path):
    for name in ('one.svg', 'two.svg'):
        plot_curves(results, tmp_path / name)
    picture = (tmp_path / 'one.svg').read_text()
    assert picture == (tmp_path / 'two.svg').read_text() and 'PQ things' in picture and 'AP' not in picture
    results['runs'][0]['curve'][0]['PQ'] = 11.0
    plot_curves(results, tmp_path / 'three.svg')
    assert picture != (tmp_path / 'three.svg').read_text()
