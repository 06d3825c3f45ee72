"""What the tools say where something is wrong: one sentence."""

import json
import pickle
import shutil
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mask2former.apis import run_config
from mask2former.apis.cli import run_tool
from mask2former.errors import MissingFileError
from tests.forked import run_forked
from tests.tiny import ROOT, write_config
from tests.tools import load_tool


def bad_category(data: Path) -> None:
    file = data / 'annotations' / 'panoptic_train.json'
    content = json.loads(file.read_text())
    content['annotations'][0]['segments_info'][0]['category_id'] = 77
    file.write_text(json.dumps(content))


def test_an_error_of_the_user_is_one_sentence(shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / 'data')
    bad_category(tmp_path / 'data')
    config = write_config(tmp_path, tmp_path / 'data')
    process = run_forked(ROOT / 'tools' / 'train.py', config, cwd=tmp_path)
    assert process.returncode == 1
    assert 'Traceback' not in process.stderr
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('Error: Image ')
    assert "has a segment with category_id 77, which no entry of 'categories' has; add the category" in last


def test_torchrun_ends_its_report_with_the_sentence(tmp_path, monkeypatch):
    """torchrun gives each process the name of a file, and prints what the first one that failed wrote into it."""
    path = tmp_path / 'error.json'
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(path))
    with pytest.raises(SystemExit, match='Error: There is no'):
        run_tool(mock.Mock(side_effect=MissingFileError("There is no 'x.json'.")))
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=1, error_file=str(path))
    *_, last, line = str(ChildFailedError('train.py', {0: failure})).strip().splitlines()
    assert last.strip() == "traceback : There is no 'x.json'."
    assert set(line) == {'='}


@pytest.mark.parametrize(
    ('name', 'arguments', 'sentence'),
    [
        ('train', ['no.py'], "Error: There is no config 'no.py': see configs/ for those that there are."),
        (
            'train',
            ['{config}', '--resume', 'no.pth'],
            "Error: There is no checkpoint 'no.pth' to resume: check the path",
        ),
        ('test', ['{config}', 'no.pth'], "Error: There is no checkpoint 'no.pth': check the path."),
        ('train', ['{config}', '--cfg-options', 'load_from=no.pth'], "Error: There is no checkpoint 'no.pth'"),
        (
            'train',
            ['{config}', '--cfg-options', 'train_dataloader.dataset.data_root=no/'],
            'no/annotations/panoptic_train',
        ),
        ('train', ['{config}', '--cfg-options', 'optim_wrapper.amp_dtype=int8'], "Error: amp_dtype must be 'bfloat16'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tool, config, tmp_path, monkeypatch, name, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: tool(name, *(argument.format(config=config) for argument in arguments)))
    assert caught.value.code.startswith('Error: ')
    assert '\n' not in caught.value.code
    assert sentence in caught.value.code


def test_all_faults_of_a_config_are_named_before_anything_is_written(tool, config, tmp_path):
    options = ('--cfg-options', 'default_hooks.checkpoint.max_keep_ckpt=3', 'optim_wraper.optimizer.lr=0.1')
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: tool('train', config, *options))
    first, *faults = caught.value.code.splitlines()
    assert first == 'Error: the config has 2 faults:'
    assert "did you mean 'optim_wrapper'" in faults[0] and "did you mean 'max_keep_ckpts'?" in faults[1]
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('name', ['browse_dataset', 'eval_metric'])
def test_tools_without_a_runner_check_the_config_too(config, tmp_path, monkeypatch, name):
    (tmp_path / 'results.pkl').write_bytes(pickle.dumps([]))
    results = [tmp_path / 'results.pkl'] if name == 'eval_metric' else []
    arguments = [config, *results, '--cfg-options', 'model.head.num_querys=5']
    monkeypatch.setattr('sys.argv', [name, *map(str, arguments)])
    with pytest.raises(SystemExit, match="^Error: model.head.num_querys: MaskedAttentionHead has no argument 'num_qu"):
        run_tool(load_tool(f'analysis_tools/{name}').main)


@pytest.mark.parametrize('flags', [['--resume', '{config}'], ['--amp', '--resume', '{config}', '--launcher', 'none']])
def test_resume_before_the_config_takes_the_last_checkpoint(config, monkeypatch, flags):
    module, configs = load_tool('train'), []
    monkeypatch.setattr(run_config, 'build_runner', lambda cfg: configs.append(cfg) or mock.Mock())
    monkeypatch.setattr('sys.argv', ['train.py', *(flag.format(config=config) for flag in flags)])
    module.main()
    assert configs[0].resume is True and configs[0].load_from is None and configs[0].filename == str(config)


def test_a_config_that_imports_what_is_not_there_is_named(tool, config):
    config.write_text(config.read_text() + "\ncustom_imports = dict(imports=['no_such_module'])\n")
    with pytest.raises(SystemExit, match=r"^Error: '.*tiny.py' imports what cannot be imported \(No module named"):
        run_tool(lambda: tool('train', config))


def test_a_config_that_inherits_from_what_is_not_there_is_named(tool, tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'between.py'\n")
    (tmp_path / 'between.py').write_text("_base_ = 'absent.py'\n")
    with pytest.raises(
        MissingFileError, match=r"^'.*mine.py' inherits from a config that is not there: .*absent.py\.$"
    ):
        tool('train', tmp_path / 'mine.py')


def test_an_error_in_a_worker_is_one_sentence(tool, shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / 'data')
    for png in (tmp_path / 'data' / 'annotations' / 'panoptic_train').iterdir():
        cv2.imwrite(str(png), np.zeros((10, 10, 3), np.uint8))
    config = write_config(tmp_path, tmp_path / 'data')
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: tool('train', config, '--cfg-options', 'train_dataloader.num_workers=1'))
    assert caught.value.code.startswith('Error: ')
    assert 'Traceback' not in caught.value.code
    assert 'panoptic_train' in caught.value.code


def test_slurm_without_gpus_is_refused(tool, config):
    if torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    with pytest.raises(SystemExit, match="^Error: Without CUDA the launcher must be 'pytorch', not 'slurm'."):
        run_tool(lambda: tool('train', config, '--launcher', 'slurm'))
