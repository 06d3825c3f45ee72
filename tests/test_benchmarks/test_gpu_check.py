"""The check of a GPU, run on the CPU: all of its sections work, and a section that does not leaves the others alone."""

import importlib.util
import json
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.common import allow_tf32
from benchmarks.gpu_check import attention, driver, logits, processes, runtimes, step_profile, steps, tune
from benchmarks.gpu_check.device import environment
from benchmarks.gpu_check.page import BEGIN, END, FAILED, NO_VERDICT, PASSED, failed, fill_page, judge, render
from benchmarks.gpu_check.sections import SECTIONS, Part, Section
from benchmarks.gpu_check.settings import NO_MEMORY, NO_TIME, Settings
from benchmarks.gpu_check.training import compare_quality
from mask2former.compat import provide_mmcv_ext
from mask2former.deployment.torch_tensorrt import compile_with_tensorrt
from mask2former.errors import ConfigError, MissingPackageError
from mask2former.ops import ms_deform_attn

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/analysis_tools/gpu_check.py'


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp('gpu_check')
    command = [sys.executable, TOOL, '--device', 'cpu', '--small', '--minutes', '60', '--out', folder]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    report = json.loads((folder / 'gpu_check.json').read_text())
    rows = [row for section in report['sections'].values() for row in section['rows']]
    errors = [row['error'] for row in rows if 'error' in row]
    expected = NO_VERDICT if any('skipped' in row for row in rows) else PASSED
    assert process.returncode == expected, '\n'.join([process.stdout, process.stderr, *errors])
    return dict(report, page=(folder / 'gpu.md').read_text())


@pytest.mark.slow
def test_every_section_works(report):
    assert report['small'] and report['device'] == 'cpu' and report['environment'] == environment('cpu')
    assert list(report['sections']) == [section.name for section in SECTIONS]
    for name, section in report['sections'].items():
        measured = [row for row in section['rows'] if not {'skipped', 'absent'} & row.keys()]
        assert measured, name
        assert all(row.get('ok', True) for row in measured), name
        assert {row['skipped'] for row in section['rows'] if 'skipped' in row} <= {'Triton is not installed', NO_TIME}
        absent = {row['absent'] for row in section['rows'] if 'absent' in row}
        assert absent <= {'not available here', 'not installed', 'needs a CUDA device'}


@pytest.mark.slow
def test_what_the_sections_measure(report):
    rows = {name: section['rows'] for name, section in report['sections'].items()}
    measured = [row for row in rows['attention'] if 'dtype' in row]
    checked = {(row['backend'], row['dtype']) for row in measured}
    assert {(name, dtype) for name in ('native', 'grid_sample') for dtype in attention.TOLERANCE} <= checked
    assert all(row['forward_backward_ms'] > 0 for row in measured)
    assert {row['tf32'] for row in rows['logits']} == {False, True}
    timed = [row for row in rows['steps'] if 'variant' in row]
    assert {row['contestant'] for row in timed} == {'mask2former', 'mmdet', 'transformers'}
    assert all(row['median'] > 0 and row['peak_mb'] > 0 for row in timed)
    assert rows['step_profile'][0]['scalars'] > 0
    assert {'backbone forward', 'optimizer'} <= {row.get('part') for row in rows['step_profile']}
    assert len([row for row in rows['step_profile'] if 'op' in row]) == 15
    assert [row['PQ'] >= 0 for row in rows['training']] == [True]
    if importlib.util.find_spec('onnxruntime'):
        assert [row['runtime'] for row in rows['runtimes'] if 'ok' in row] == ['onnxruntime CPUExecutionProvider']
    assert rows['processes'][0]['works'] and rows['processes'][0]['equal_weights']


@pytest.mark.slow
def test_the_page_has_every_section(report):
    page = report['page']
    assert all(f'### {section.title}' in page for section in SECTIONS)
    assert f'**{report["verdict"]}.**' in page and 'the figures mean nothing' in page
    assert '| native | bfloat16 | 64x96 | 1 |' in page and '| r50 | train | 64 | 1 | channels-last |' in page
    assert page.startswith((ROOT / 'docs/gpu.md').read_text().partition(BEGIN)[0])


@pytest.mark.parametrize('other', [{}, dict(device='cuda'), dict(small=False), dict(environment=dict(torch='2.0'))])
def test_a_section_that_runs_again_leaves_the_others(tmp_path, monkeypatch, capsys, other):
    """But not those of another device, of other sizes or versions; and what failed there still counts."""
    former = dict(title='Logits', text='', seconds=1, rows=[dict(part='a', ok=False)])
    written = dict(device='cpu', small=True, environment=environment('cpu'), sections=dict(logits=former)) | other
    (tmp_path / 'gpu_check.json').write_text(json.dumps(written))
    monkeypatch.setattr(driver, 'watch_part', lambda section, part, settings, rows: rows.append(dict(what=part)))
    assert run_main(monkeypatch, tmp_path, '--sections', 'device') == (PASSED if other else FAILED)
    report = json.loads((tmp_path / 'gpu_check.json').read_text())
    assert list(report['sections']) == (['device'] if other else ['logits', 'device'])
    assert report['ok'] == bool(other) and ('are dropped' in capsys.readouterr().out) == bool(other)


def run_main(monkeypatch, folder, *arguments):
    """The exit status of the tool on a CPU, run in this process."""
    for name in ('CUDA_VISIBLE_DEVICES', 'TRITON_INTERPRET'):
        monkeypatch.setenv(name, '')  # so that what main sets is undone
    monkeypatch.setattr('sys.argv', ['gpu_check.py', '--device', 'cpu', '--small', '--out', str(folder), *arguments])
    with pytest.raises(SystemExit) as caught:
        driver.main()
    return caught.value.code


def test_without_time_there_is_no_verdict(tmp_path, monkeypatch, capsys):
    assert run_main(monkeypatch, tmp_path, '--minutes', '0') == NO_VERDICT
    report = json.loads((tmp_path / 'gpu_check.json').read_text())
    rows = [row for section in report['sections'].values() for row in section['rows']]
    assert {row.get('skipped') for row in rows} <= {None, NO_TIME} and not report['ok']
    names = ', '.join(section.name for section in SECTIONS)
    assert f'rows skipped ({sum("skipped" in row for row in rows)} no time left): no verdict on {names}' in (
        capsys.readouterr().out
    )
    assert 'All checks passed' not in (tmp_path / 'gpu.md').read_text().partition(BEGIN)[2]


def test_verdicts():
    def report(*rows):
        return dict(sections=dict(tune=dict(rows=list(rows))))

    ok, late = dict(case=1, ok=True), dict(case=2, skipped='no time left: stopped after 30 s')
    absent, wrong, measured = dict(case=3, absent='not installed'), dict(case=4, ok=False), dict(case=5, ms=1.0)
    assert judge(report(ok, absent, measured)) == (PASSED, 'All checks passed')
    assert judge(report(ok, late, absent)) == (NO_VERDICT, '1 of 3 rows skipped (1 no time left): no verdict on tune')
    assert judge(report(late))[0] == NO_VERDICT
    assert judge(report(ok, late, wrong)) == (FAILED, '1 of 3 rows FAILED, 1 of 3 rows skipped (1 no time left)')
    assert judge(report(measured, absent))[1] == 'Measured without an error, but there was nothing to check'


def test_an_interrupt_ends_the_processes_and_keeps_what_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Section, 'module', 'tests.test_benchmarks.faulty_sections')
    sections = (
        Section('first', 1, 'first', '', (Part('works'),)),
        Section('second', 1, 'second', '', (Part('hangs'),)),
    )
    monkeypatch.setattr(driver, 'SECTIONS', sections)
    monkeypatch.setattr('sys.argv', ['gpu_check.py', '--device', 'cpu', '--out', str(tmp_path)])
    for name in ('CUDA_VISIBLE_DEVICES', 'TRITON_INTERPRET'):
        monkeypatch.setenv(name, '')
    join, started = BaseProcess.join, []

    def interrupted_join(process, timeout=None):
        if timeout is not None and started:
            time.sleep(2)
            raise KeyboardInterrupt
        started.append(process)
        join(process, timeout)

    monkeypatch.setattr(BaseProcess, 'join', interrupted_join)
    with pytest.raises(KeyboardInterrupt):
        driver.main()
    assert len(set(started)) == 2 and not any(process.is_alive() for process in started)
    report = json.loads((tmp_path / 'gpu_check.json').read_text())
    assert report['sections']['first']['rows'] == [dict(part='works', ok=True)]
    assert report['sections']['second']['rows'][-1] == dict(section='second', skipped='interrupted')
    assert '(1 interrupted): no verdict on second' in (tmp_path / 'gpu.md').read_text()


def test_only_what_is_installed_shares_the_time(tmp_path, monkeypatch):
    deadlines = {}

    def watch(section, part, settings, rows):
        deadlines[part] = settings.left()

    monkeypatch.setattr(driver, 'watch_part', watch)
    parts = (Part('a', 4), Part('b', needs='no_such_package'), Part('c', needs='no_such_package.x'), Part('d'))
    rows = []
    driver.run_parts(Section('x', 1, '', '', parts), Settings('cpu', True, tmp_path, 0), time.time() + 1000, rows)
    assert rows == [dict(part=name, absent='not installed') for name in 'bc']
    assert deadlines == {'a': pytest.approx(800, abs=5), 'd': pytest.approx(1000, abs=5)}
    assert not Part('x', needs='mmcv._ext').is_installed() or not provide_mmcv_ext()


def test_too_little_memory_is_no_failure(tmp_path):
    def fill(error):
        raise error

    settings = Settings('cpu', True, tmp_path, time.time() + 60)
    for error in (torch.OutOfMemoryError('CUDA out of memory. Tried'), RuntimeError('CUDNN_STATUS_ALLOC_FAILED')):
        assert settings.measure(dict(case=1), fill, error) == dict(case=1, skipped=NO_MEMORY)
    assert 'error' in settings.measure(dict(case=1), fill, RuntimeError('CUDA error: an illegal memory access'))


@pytest.mark.parametrize('module, function', [(logits, 'on_cpu'), (tune, 'prepare')])
def test_an_error_in_what_is_expected_ends_no_part(tmp_path, monkeypatch, module, function):
    if module is tune:
        pytest.importorskip('triton')

    def fail(*_):
        raise ValueError('as it was told')

    monkeypatch.setattr(module, function, fail)
    rows = list(module.check(Settings('cpu', True, tmp_path, time.time() + 60), 'all'))
    assert len(rows) > 1 and all('as it was told' in row['error'] for row in rows)
    assert all(row['skipped'] == NO_TIME for row in module.check(Settings('cpu', True, tmp_path, 0), 'all'))


def test_a_peer_that_cannot_be_prepared_is_not_timed(tmp_path, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(steps, 'Scene', dict)
    monkeypatch.setattr(steps, 'prepare', fail)
    rows = list(steps.check(Settings('cpu', True, tmp_path, time.time() + 60), 'transformers'))
    assert [row['skipped'] for row in rows] == [NO_MEMORY, 'there are no weights for it'] * 2
    if provide_mmcv_ext():  # mmdet on CUDA calls what mmcv-lite lacks
        [row] = steps.check(Settings('cuda', True, tmp_path, time.time() + 60), 'mmdet')
        assert 'mmcv-lite' in row['absent']


def test_a_training_is_compared_only_with_another():
    gpu, cpu = dict(device='cuda', PQ=20.0), dict(device='cpu', PQ=41.0)
    assert not compare_quality(gpu, cpu)['ok'] and compare_quality(gpu, dict(cpu, PQ=39.0))['ok']
    for pair in ((gpu, dict(device='cpu', skipped=NO_TIME)), (dict(device='cuda', error='x'), cpu)):
        assert 'ok' not in compare_quality(*pair) and 'skipped' in compare_quality(*pair)


def test_logits_are_compared_without_tf32_and_timed_as_users_have_it():
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    former = [backend.allow_tf32 for backend in backends]
    seen = []

    class Spy:
        spec = {}

        def common_weights(self):
            seen.extend(backend.allow_tf32 for backend in backends)
            raise ValueError

    with pytest.raises(ValueError):
        steps.prepare(Spy(), 'mmdet', {})
    assert seen == [False, False] and [backend.allow_tf32 for backend in backends] == former
    with allow_tf32(True):
        assert all(backend.allow_tf32 for backend in backends)


def test_only_waits_of_the_step_are_counted():
    def event(name, start, device='CPU'):
        return SimpleNamespace(name=name, device_type=f'DeviceType.{device}', time_range=Range(start))

    def Range(start):
        return SimpleNamespace(start=start, end=start + 10)

    events = [event('cudaStreamSynchronize', 3), event(step_profile.STEP, 0), event('cudaDeviceSynchronize', 11)]
    events += [event(step_profile.STEP, 0, 'CUDA'), event('kernel', 5, 'CUDA'), event('cudaLaunchKernel', -1)]
    assert [x.name for x in step_profile.operations_of_the_step(events)] == ['cudaStreamSynchronize']


def test_what_a_step_does_is_counted():
    x = torch.ones(3)
    counts, longest = step_profile.count_and_rank(lambda: [x.sum().item(), x.nonzero()], torch.device('cpu'))
    assert (counts['scalars'], counts['nonzero'], counts['waits']) == (1, 1, 0)
    assert {'aten::sum', 'aten::nonzero'} <= {row['op'] for row in longest}
    assert sum(row['share'] for row in longest) <= 1.001


class Rank:
    """Stands in for a process that runs for some seconds."""

    def __init__(self, seconds, exitcode):
        self.end, self.code = time.time() + seconds, exitcode

    def is_alive(self):
        return time.time() < self.end

    @property
    def exitcode(self):
        return None if self.is_alive() else self.code

    def join(self, timeout):
        pass


def test_ranks_that_need_longer_are_late_and_no_failure():
    assert processes.wait_for([Rank(0, 0), Rank(0.2, 0)], 5)
    assert processes.wait_for([Rank(0, 1), Rank(60, 0)], 5)  # one has failed
    assert not processes.wait_for([Rank(0, 0), Rank(60, 0)], 0.2)


def test_only_the_refusal_of_nccl_is_no_failure(tmp_path, monkeypatch):
    refusal = 'Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000'
    assert processes.find_refusal(f'Traceback\nncclInvalidUsage: This usually\n  {refusal}\n') == refusal
    assert processes.find_refusal('ncclUnhandledCudaError: Call to CUDA function failed.') is None

    rows = iter([dict(backend='nccl', error='ncclSystemError'), dict(backend='gloo', ok=True)])
    monkeypatch.setattr(Settings, 'measure', lambda *_: next(rows))
    settings = Settings('cuda', True, tmp_path, time.time() + 60)
    assert [failed(row) for row in processes.check(settings, 'all')] == [True, False]


def test_what_fails_is_recorded_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, 'GRACE', 0.5)

    def section(name, *parts):
        return Section(name, 1, name, '', tuple(map(Part, parts)))

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


def test_runtimes_are_compared_with_pytorch(tmp_path, monkeypatch):
    """Through the frame of the section: what runs on GPUs alone is replaced."""
    settings = Settings('cpu', True, tmp_path, time.time() + 60)
    image, expected = torch.rand(1, 3, 4, 4), [torch.rand(1, 2, 3), torch.rand(1, 2, 1, 1)]
    asked = []

    def prepare(settings, onnx):
        asked.append(onnx)
        return runtimes.Exported(None, None, image, expected)

    def wrong(exported):
        return lambda image: (expected[0] * 1.1, expected[1])

    monkeypatch.setenv('NVIDIA_TF32_OVERRIDE', '1')  # so that what check sets is undone
    monkeypatch.setattr(runtimes, 'prepare', prepare)
    openers = dict(right=lambda exported: lambda image: tuple(expected), wrong=wrong, gone=None)
    monkeypatch.setattr(runtimes, '_providers', lambda device: openers)
    gone, right, worse = runtimes.check(settings, 'onnxruntime')
    assert gone == dict(runtime='gone', absent='is not in this build of onnxruntime')
    assert right['ok'] and right['worst'] == 0 and right['median_ms'] >= 0 and right['opened'] > 0
    assert not worse['ok'] and worse['runtime'] == 'wrong'
    monkeypatch.setattr(runtimes, '_providers', lambda device: dict(gone=None))
    assert [*runtimes.check(settings, 'onnxruntime')] == [gone]
    absent = dict(absent='needs a CUDA device')
    assert [*runtimes.check(settings, 'tensorrt')] == [dict(runtime='tensorrt', **absent)]
    monkeypatch.setattr(runtimes, '_OPENERS', dict(torch_tensorrt=wrong))
    on_gpu = Settings('cuda', True, tmp_path, time.time() + 60)
    monkeypatch.setattr(runtimes, 'compare', lambda exported, opener, settings: dict(ok=opener is wrong))
    assert [*runtimes.check(on_gpu, 'torch_tensorrt')] == [dict(runtime='torch_tensorrt', ok=True)]
    assert asked == [True, False]

    def without(settings, onnx):
        raise MissingPackageError('ONNX files need the package onnx: pip install onnx.')

    monkeypatch.setattr(runtimes, 'prepare', without)
    [row] = runtimes.check(on_gpu, 'torch_tensorrt')
    assert row['absent'].startswith('ONNX files need')


def test_torch_tensorrt_needs_a_gpu(tiny_run):
    from mask2former.predictions import load

    model = load(tiny_run.config, tiny_run.checkpoint, device='cpu').inferencer.model
    with pytest.raises(ConfigError, match='needs a model on a CUDA device, but this one is on cpu'):
        compile_with_tensorrt(model, (64, 64))


def test_many_skipped_cases_are_counted():
    rows = [dict(backend='native', size=size, skipped='no time left') for size in (1, 2, 3)]
    section = dict(title='', text='', seconds=1, rows=[*rows, dict(part='mmcv', absent='not installed')])
    page = render(dict(command='x', date='today', small=False, sections=dict(attention=section)))
    assert page.endswith('- backend native: 3 cases, no time left\n\nAbsent:\n\n- part mmcv, absent not installed')


def test_cases_of_a_gpu():
    found = steps.cases(small=False)
    assert len(found) == len({tuple(case.values()) for case in found}) == 40
    assert found[0] == dict(model='r50', mode='train', size=512, batch_size=1, variant='float32')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr('sys.argv', ['gpu_check.py', '--out', str(tmp_path / 'out')])
    with pytest.raises(ConfigError, match='There is no CUDA device here'):
        driver.main()
    assert not (tmp_path / 'out').exists()
