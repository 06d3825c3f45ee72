"""tools/analysis_tools/ablate.py: a study from its trainings to its report; attention_mass.py on one of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mask2former.errors import ConfigError, MissingFileError, UserError
from tests.tiny import ROOT
from tests.tools import load_tool


@pytest.fixture
def study(config, tmp_path):
    variants = {
        'full': dict(options={}, seeds=1),
        'no masked attention': dict(options={'model.head.masked_attention': False}, seeds=1),
    }
    path = tmp_path / 'study.json'
    options = {'train_cfg.max_iters': 2, 'model.backbone.init_cfg': None}
    path.write_text(json.dumps(dict(config=str(config), options=options, interval=2, variants=variants)))
    return path


def run(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    monkeypatch.setenv('COLUMNS', '200')
    load_tool(f'analysis_tools/{tool}').main()


@pytest.fixture
def in_this_process(monkeypatch):
    """Trainings run here, which saves the time that a process takes to import torch."""

    original = subprocess.run

    def run_command(command, **options):
        if options:  # mmengine's, of the environment
            return original(command, **options)
        python, tool, *arguments = command
        assert python == sys.executable
        assert Path(tool) == ROOT / 'tools' / 'train.py'
        Path(arguments[0]).write_text(
            Path(arguments[0]).read_text()
            + f"\nvisualizer['name'] = experiment_name = {arguments[0]!r}.replace('/', '_')\n"
        )
        run(monkeypatch, '../train', *arguments)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, 'run', run_command)


def test_study_and_attention(monkeypatch, capfd, study, tmp_path, in_this_process):
    work_dir = tmp_path / 'work'
    run(monkeypatch, 'ablate', study, '--work-dir', work_dir)
    printed = capfd.readouterr().out
    results = json.loads((work_dir / 'results.json').read_text())
    assert [run['variant'] for run in results['runs']] == ['full', 'no masked attention']
    assert [point['iter'] for point in results['runs'][1]['curve']] == [2]
    assert '| no masked attention | 1 |' in printed and (work_dir / 'results.svg').is_file()

    curve = work_dir / 'full' / 'seed_0' / 'curve.json'
    stamp = curve.stat().st_mtime_ns
    run(monkeypatch, 'ablate', study, '--work-dir', work_dir, '--variants', 'full')
    assert 'It is finished.' in capfd.readouterr().out and curve.stat().st_mtime_ns == stamp
    changed = json.loads(study.read_text())
    changed['variants']['no masked attention']['options'] = {'model.head.masked_attention': True}
    (tmp_path / 'changed').mkdir()
    other = tmp_path / 'changed' / 'study.json'
    other.write_text(json.dumps(changed))
    with pytest.raises(ConfigError, match=r'no-masked-attention/seed_0 was trained with other settings .*\(model\)'):
        run(monkeypatch, 'ablate', other, '--work-dir', work_dir, '--variants', 'full')
    run(monkeypatch, 'ablate', work_dir / 'results.json', '--report')
    assert '| full | 1 |' in capfd.readouterr().out

    folder, values = work_dir / 'full' / 'seed_0', tmp_path / 'mass.json'
    arguments = (folder / 'config.py', folder / 'iter_2.pth', '--images', 2)
    strip = tmp_path / 'strip.png'
    run(monkeypatch, 'attention_mass', *arguments, '--json', values, '--strip', strip)
    printed = capfd.readouterr().out
    measured = json.loads(values.read_text())
    (layer,) = measured['layers']
    assert measured['images'] == 2 and 0 < layer['all']['inside'] < 1 and strip.is_file()
    assert f'{layer["all"]["inside"]:.2f} ({layer["all"]["even"]:.2f})' in printed
    for flag, value in (('--image', 99), ('--segment', 99)):
        with pytest.raises(ConfigError, match=f'{flag} 99'):
            run(monkeypatch, 'attention_mass', *arguments, '--strip', strip, flag, value)


def test_a_failed_training_ends_the_study(monkeypatch, study, tmp_path):
    monkeypatch.setattr(subprocess, 'run', lambda command: subprocess.CompletedProcess(command, 1))
    with pytest.raises(UserError, match='full/seed_0 ended with an error'):
        run(monkeypatch, 'ablate', study, '--work-dir', tmp_path / 'work')
    assert not (tmp_path / 'work' / 'results.json').exists()


def test_results_that_are_not_there(monkeypatch, tmp_path):
    with pytest.raises(MissingFileError, match='results.json of a study'):
        run(monkeypatch, 'ablate', tmp_path / 'results.json', '--report')
    with pytest.raises(SystemExit):
        run(monkeypatch, 'ablate', tmp_path / 'results.json', '--report', '--variants', 'full')
