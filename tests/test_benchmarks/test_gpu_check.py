"""The check of a GPU, run on the CPU: all of its sections work, and a section that does not leaves the others alone."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import attention, driver
from benchmarks.gpu_check.page import BEGIN, END, fill_page, render, verdict
from benchmarks.gpu_check.sections import SECTIONS, Section
from benchmarks.gpu_check.settings import Settings
from benchmarks.gpu_check.steps import cases
from mask2former.errors import ConfigError
from mask2former.ops import ms_deform_attn

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/analysis_tools/gpu_check.py'


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp('gpu_check')
    command = [sys.executable, TOOL, '--device', 'cpu', '--small', '--minutes', '20', '--out', folder]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    report = json.loads((folder / 'gpu_check.json').read_text())
    errors = [row['error'] for section in report['sections'].values() for row in section['rows'] if 'error' in row]
    assert process.returncode == 0, '\n'.join([process.stdout, process.stderr, *errors])
    return dict(report, page=(folder / 'gpu.md').read_text())


def test_every_section_works(report):
    assert report['ok'] and report['small'] and report['device'] == 'cpu'
    assert list(report['sections']) == [section.name for section in SECTIONS]
    for name, section in report['sections'].items():
        measured = [row for row in section['rows'] if 'skipped' not in row]
        assert measured, name
        assert all(row.get('ok', True) for row in measured), name
        skipped = {row['skipped'] for row in section['rows'] if 'skipped' in row}
        assert skipped <= {'not available here', 'not installed', 'Triton is not installed', 'no time left'}


def test_what_the_sections_measure(report):
    rows = {name: section['rows'] for name, section in report['sections'].items()}
    checked = {(row['backend'], row['dtype']) for row in rows['attention'] if 'skipped' not in row}
    assert {(name, dtype) for name in ('native', 'grid_sample') for dtype in attention.TOLERANCE} <= checked
    assert all(row['forward_backward_ms'] > 0 for row in rows['attention'] if 'skipped' not in row)
    assert {row['tf32'] for row in rows['logits']} == {False, True}
    timed = [row for row in rows['steps'] if 'variant' in row]
    assert {row['contestant'] for row in timed} == {'mask2former', 'mmdet', 'transformers'}
    assert all(row['median'] > 0 and row['peak_mb'] > 0 for row in timed)
    assert rows['step_profile'][0]['scalars'] > 0
    assert {'backbone forward', 'optimizer'} <= {row.get('part') for row in rows['step_profile']}
    assert len([row for row in rows['step_profile'] if 'op' in row]) == 15
    assert [row['PQ'] >= 0 for row in rows['training']] == [True]
    assert rows['processes'][0]['works'] and rows['processes'][0]['equal_weights']


def test_the_page_has_every_section(report):
    page = report['page']
    assert all(f'### {section.title}' in page for section in SECTIONS)
    assert 'All checks passed' in page and 'the figures mean nothing' in page
    assert '| native | bfloat16 | 64x96 | 1 |' in page and '| r50 | train | 64 | 1 | channels-last |' in page
    assert page.startswith((ROOT / 'docs/gpu.md').read_text().partition(BEGIN)[0])


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_a_section_that_runs_again_leaves_the_others(tmp_path, device):
    """But not those of another device; and what failed there still counts."""
    former = dict(title='Tune', text='', seconds=1, rows=[dict(part='a', ok=False)])
    (tmp_path / 'gpu_check.json').write_text(json.dumps(dict(device=device, small=True, sections=dict(tune=former))))
    command = [sys.executable, TOOL, '--device', 'cpu', '--small', '--sections', 'device', '--out', tmp_path]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    report = json.loads((tmp_path / 'gpu_check.json').read_text())
    assert list(report['sections']) == (['tune', 'device'] if device == 'cpu' else ['device'])
    assert report['ok'] == (device == 'cuda') and process.returncode == (device == 'cpu'), process.stderr


def test_the_last_line_says_what_was_not_checked():
    rows = [dict(case=1, ok=True), dict(case=2, skipped='no time left'), dict(case=3, skipped='not installed')]
    rows.append(dict(case=4, skipped='no time left: stopped after 30 s'))
    report = dict(sections=dict(training=dict(rows=rows)))
    assert verdict(report) == 'All checks passed, 2 skipped (no time left), 1 skipped (not installed)'
    rows.append(dict(case=5, ok=False))
    assert verdict(report).startswith('Checks FAILED, 2 skipped')
    assert verdict(dict(sections=dict(training=dict(rows=rows[:1])))) == 'All checks passed'


def test_what_fails_is_recorded_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, 'GRACE', 0.5)

    def section(name, *parts):
        return Section(name, 1, name, '', parts)

    monkeypatch.setattr(Section, 'module', 'tests.test_benchmarks.faulty_sections')
    sections = [section('first', 'raises', 'crashes', 'works'), section('second', 'cases'), section('third', 'hangs')]
    out, report = tmp_path / 'gpu_check.json', dict(ok=True, sections={}, small=True, command='x', date='today')
    settings = Settings('cpu', True, tmp_path, time.time() + 600)
    driver.run_sections(sections[:2], settings, report, out)
    assert json.loads(out.read_text()) == report
    driver.run_sections(sections[2:], Settings('cpu', True, tmp_path, time.time() + 8), report, out)
    first, second, third = (report['sections'][name]['rows'] for name in ('first', 'second', 'third'))
    assert [row.get('ok') for row in first] == [True, None, True, None, True]
    assert 'ValueError: as it was told' in first[1]['error']
    assert 'ended with -11' in first[3]['error'] and 'from the depths' in first[3]['error']
    assert second[1] == dict(case=1, ok=False)
    assert 'ZeroDivisionError' in second[2]['error']
    assert second[3] == dict(case=3, skipped='no time left')
    assert second[4] == dict(case=4, ok=True)
    assert third[0]['ok'] and 'was stopped' in third[1]['error']
    assert not report['ok']
    page = fill_page(report, tmp_path).read_text()
    assert '- first: part raises, error ValueError: as it was told' in page and '- case 3, skipped no time left' in page
    assert fill_page(dict(report, sections={}), tmp_path).read_text().count(BEGIN) == 1
    assert 'as it was told' not in (tmp_path / 'gpu.md').read_text() and END in (tmp_path / 'gpu.md').read_text()


def test_errors_of_attention_are_noticed():
    def wrong(value, level_shapes, locations, weights):
        return ms_deform_attn(value, level_shapes, locations, weights * 1.001)

    right = attention.examine(ms_deform_attn, (64, 64), 1, 'float32', torch.device('cpu'), (1, 0))
    assert right['ok'] and right['locations_grad_error'] < 1e-5
    assert not attention.examine(wrong, (64, 64), 1, 'float32', torch.device('cpu'), (1, 0))['ok']


def test_many_skipped_cases_are_counted():
    rows = [dict(backend='native', size=size, skipped='no time left') for size in (1, 2, 3)]
    section = dict(title='', text='', seconds=1, rows=[*rows, dict(backend='mmcv', skipped='not available here')])
    page = render(dict(command='x', date='today', small=False, sections=dict(attention=section)))
    assert page.endswith('- backend native: 3 cases, no time left\n- backend mmcv, skipped not available here')


def test_cases_of_a_gpu():
    found = cases(small=False)
    assert len(found) == len({tuple(case.values()) for case in found}) == 40
    assert found[0] == dict(model='r50', mode='train', size=512, batch_size=1, variant='float32')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr('sys.argv', ['gpu_check.py', '--out', str(tmp_path / 'out')])
    with pytest.raises(ConfigError, match='There is no CUDA device here'):
        driver.main()
    assert not (tmp_path / 'out').exists()
