"""Reading a study, and the configs of its runs."""

import json

import pytest
from mmengine.config import Config

from mask2former.analysis.study import SETTINGS, read_study
from mask2former.errors import ConfigError, MissingFileError
from tests.tiny import ROOT
from tests.tools import load_tool

STUDIES = sorted((ROOT / 'configs' / 'studies').glob('*.json'))


def write(folder, **changes):
    (folder / 'base.py').write_text(
        f"_base_ = '{ROOT}/configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py'"
    )
    variants = dict(a=dict(options={}, seeds=2), b=dict(options={'model.head.masked_attention': False}, seeds=1))
    content = dict(config='base.py', options={'train_cfg.max_iters': 8}, interval=4, variants=variants, **changes)
    path = folder / 'mine.json'
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


def test_runs_come_seed_by_seed(tmp_path):
    study = read_study(write(tmp_path))
    assert study.name == 'mine'
    assert [(run.variant.name, run.seed) for run in study.runs()] == [('a', 0), ('b', 0), ('a', 1)]
    assert [run.folder for run in study.runs(['a'])] == ['a/seed_0', 'a/seed_1']
    with pytest.raises(ConfigError, match="no variant 'c': it has a, b"):
        study.runs(['c'])


def test_config_of_a_run(tmp_path):
    study = read_study(write(tmp_path))
    _, run, _ = study.runs()
    cfg = study.make_config(run, tmp_path / 'work')
    base = Config.fromfile(tmp_path / 'base.py')
    assert cfg.model.head.masked_attention is False and 'masked_attention' not in base.model.head
    assert cfg.train_cfg.max_iters == 8 and cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 4
    assert cfg.randomness.seed == 0 and cfg.custom_hooks == [dict(type='CurveHook')]
    assert cfg.work_dir == str(tmp_path / 'work')


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_repository(path):
    study = read_study(path)
    seeds = {variant.name: variant.seeds for variant in study.variants}
    assert seeds == {
        'full': 3, 'no masked attention': 3, 'single scale': 2, 'zero queries': 2, 'dense matching': 2
    }  # fmt: skip
    configs = [study.make_config(run, path.parent) for run in study.runs()[:5]]
    assert study.variants[0].options == {}
    models = [cfg.model for cfg in configs]
    assert all(model != models[0] for model in models[1:])
    last = configs[0].train_cfg.max_iters
    assert all(cfg.train_cfg.max_iters == last for cfg in configs) and last % study.interval == 0


def test_there_are_studies():
    assert [path.stem for path in STUDIES] == ['nuclei', 'shapes']


@pytest.mark.parametrize(
    ('text', 'error', 'sentence'),
    [
        ('{', ConfigError, 'not valid JSON'),
        ('[]', ConfigError, 'must be an object with config, options, interval, variants'),
        ('{"config": "x.py", "options": {}, "interval": 1}', ConfigError, 'and nothing else'),
        ('{"config": "x.py", "options": {}, "interval": true, "variants": {}}', ConfigError, 'interval that is no int'),
        ('{"config": "x.py", "options": {}, "interval": 1, "variants": {}}', ConfigError, 'at least one variant'),
        (
            '{"config": "x.py", "options": {}, "interval": 1, "variants": {"a": {"options": {}, "seed": 1}}}',
            ConfigError,
            "Variant 'a'",
        ),
        (
            '{"config": "x.py", "options": {}, "interval": 1, "variants": {"a": {"options": {}, "seeds": 1}}}',
            MissingFileError,
            'x.py',
        ),
    ],
)
def test_faults_are_named(tmp_path, text, error, sentence):
    path = tmp_path / 'wrong.json'
    path.write_text(text)
    with pytest.raises(error, match=sentence):
        read_study(path)


def test_a_misspelt_option_is_refused(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace('masked_attention', 'masked_atention'))
    study = read_study(path)
    with pytest.raises(ConfigError, match='masked_attention'):
        study.make_config(study.runs()[1], tmp_path)
    with pytest.raises(MissingFileError, match='no study'):
        read_study(tmp_path / 'absent.json')


def test_a_misspelt_option_of_a_later_run_is_told_before_the_first_is_trained(tmp_path, monkeypatch):
    path = write(tmp_path)
    path.write_text(path.read_text().replace('masked_attention', 'masked_atention'))
    tool, trained = load_tool('analysis_tools/ablate'), []
    monkeypatch.setattr(tool, 'train', lambda *run: trained.append(run))
    with pytest.raises(ConfigError, match='masked_attention'):
        tool.train_study(read_study(path), tmp_path / 'runs', None)
    assert not trained


def test_runs_of_other_settings_are_refused(tmp_path):
    study, work_dir = read_study(write(tmp_path)), tmp_path / 'work'
    run = study.runs(['b'])[0]
    folder = work_dir / run.folder
    folder.mkdir(parents=True)
    study.make_config(run, folder).dump(folder / SETTINGS)
    changed = study._replace(options={'train_cfg.max_iters': 16})
    changed.check_runs(work_dir)  # it has not begun
    (folder / 'curve.json').write_text('[]')
    study.check_runs(work_dir)
    with pytest.raises(ConfigError, match=r'b/seed_0 was trained with other settings .* \(.*train_cfg'):
        changed.check_runs(work_dir)
