"""Numbers that are not finite: what is said of them, and that the file that is kept gives the same numbers again."""

import os
import re
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mask2former.apis.cli import run_tool
from mask2former.engine.failures import read_failure
from mask2former.errors import DataError, NonFiniteError
from mask2former.registry import HOOKS
from tests.tiny import ROOT, train, write_config
from tests.tools import free_port, load_tool, run_script

from . import spoil_hooks  # noqa: F401  (registers them)

SAVE = dict(default_hooks__nonfinite__save_weights=True, default_hooks__checkpoint=None, val_cfg=None)
NO_VAL = dict(val_dataloader=None, val_evaluator=None, train_cfg__max_iters=2, randomness__seed=0)


@pytest.fixture(scope='module')
def config(shapes, tmp_path_factory) -> Path:
    return write_config(tmp_path_factory.mktemp('nonfinite'), shapes)


def failing(config, tmp_path, **options):
    return train(config, work_dir=str(tmp_path / 'work'), **{**SAVE, **NO_VAL, **options})


def replayed(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    monkeypatch.setattr('sys.argv', ['replay_failure', *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        run_tool(load_tool('misc/replay_failure').main)
    return caught.value.code, capsys.readouterr().out


def kept(tmp_path) -> list[Path]:
    return sorted((tmp_path / 'work' / 'failures').glob('*'))


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mask2former.engine.optim_wrapper.print_log', lambda message, logger, level: messages.append(message)
    )
    return messages


def test_an_infinite_term_is_named_and_replays_to_the_same_numbers(config, tmp_path, said, monkeypatch, capsys):
    """Where the mask loss alone is infinite, the other terms are ordinary numbers, and the same to the last bit."""
    # With dropout, which the file's seeds draw again.
    options = dict(model__criterion__mask_weight=float('inf'), model__head__dropout=0.1, train_cfg__max_iters=1)
    failing(config, tmp_path, **options)
    assert len(said) == 1
    assert 'at iteration 0 (the gradients of ' in said[0] and 'loss_mask, loss_aux of images ' in said[0]
    assert '.jpg' in said[0] and 'on rank 0; the batch is kept in ' in said[0]
    [path] = kept(tmp_path)
    assert path.name == 'iter_0_rank_0.pth' and str(path) in said[0]
    losses = read_failure(path)['losses']
    assert losses['loss_class'].isfinite() and losses['loss_dice'] > 0 and losses['loss_mask'].isinf()

    dropout = ('--cfg-options', 'model.head.dropout=0.1')
    code, out = replayed(monkeypatch, capsys, config, path, *dropout, 'model.criterion.mask_weight=1e999')
    assert code == 0 and out.count('the same again') == 5, out  # four terms and the norm
    code, out = replayed(monkeypatch, capsys, config, path, *dropout)  # the weight of the config itself
    assert code == 1 and 'loss_mask: inf, now ' in out
    assert out.count('the same again') == 2, 'loss_class and loss_dice do not depend on it'


@HOOKS.register_module()
class SpoilStep(Hook):
    """Makes the next step's learning rate infinite, which the check of the config would refuse."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for group in runner.optim_wrapper.param_groups:
            group['lr'] = float('inf')


def scaled(name, iteration, factor):
    return dict(custom_hooks=[dict(type='ScaleWeight', name=name, iteration=iteration, factor=factor)])


def test_a_weight_that_is_not_finite_is_named(config, tmp_path, monkeypatch, capsys):
    with pytest.raises(NonFiniteError) as caught:
        failing(config, tmp_path, **scaled('head.query_feat.weight', 1, float('nan')))
    message = str(caught.value)
    assert 'at iteration 1' in message and "On rank 0: the weight of 'head.query_feat.weight' is not finite" in message
    assert '.jpg' in message and '\n' not in message
    code, out = replayed(monkeypatch, capsys, config, *kept(tmp_path))
    assert code == 0 and 'error: NaN or infinite predictions' in out and 'the same again' in out
    assert "1 weights are not finite, first 'head.query_feat.weight'" in out


def test_the_first_layer_whose_output_is_not_finite_is_named(config, tmp_path):
    """The weights are finite, what they make is not."""
    large = [dict(type='ScaleWeight', name=f'head.mask_embed.{i}.weight', iteration=0, factor=1e30) for i in (0, 2)]
    with pytest.raises(NonFiniteError) as caught:
        failing(config, tmp_path, custom_hooks=large)
    assert "the output of 'head.mask_embed.2' is not finite first" in str(caught.value)


def test_no_checkpoint_of_weights_that_are_not_finite(config, tmp_path):
    """An infinite learning rate spoils the weights in the first step."""
    options = dict(custom_hooks=[dict(type='SpoilStep')], default_hooks__checkpoint=dict(interval=1))
    with pytest.raises(NonFiniteError, match=r'^the weights .* \d+ more are NaN or infinite after iteration 1 '):
        failing(config, tmp_path, param_scheduler=[], **options)
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_files_are_few_and_small(config, tmp_path, said):
    options = dict(model__criterion__mask_weight=float('inf'), train_cfg__max_iters=3)
    failing(config, tmp_path, default_hooks__nonfinite__max_files=2, **options)
    assert len(kept(tmp_path)) == 2 and 'has 2 files already' in said[2]
    failing(
        config, tmp_path / 'a', default_hooks__nonfinite__max_bytes=100_000, **{**options, 'train_cfg__max_iters': 1}
    )
    path = kept(tmp_path / 'a')[0]
    assert 'kept without the weights, which are too large' in said[3] and path.stat().st_size < 200_000
    assert 'state_dict' not in read_failure(path)


def test_a_file_without_weights_asks_for_a_checkpoint(config, tmp_path, said, monkeypatch, capsys):
    failing(config, tmp_path, model__criterion__mask_weight=float('inf'), default_hooks__nonfinite__save_weights=False)
    code, _ = replayed(monkeypatch, capsys, config, kept(tmp_path)[0])
    assert code.startswith('Error: ') and 'give --checkpoint, the last one before iteration 0' in code


@pytest.mark.parametrize('name', ['test', 'train'])
def test_a_checkpoint_with_nan_is_refused(run, tmp_path, monkeypatch, name):
    checkpoint = torch.load(run.half, weights_only=True)
    checkpoint['state_dict']['head.query_feat.weight'][0] = float('nan')
    torch.save(checkpoint, tmp_path / 'nan.pth')
    where = ['--cfg-options', f'load_from={tmp_path}/nan.pth'] if name == 'train' else [tmp_path / 'nan.pth']
    arguments = [name, run.config, *where, '--work-dir', tmp_path / 'work']
    monkeypatch.setattr('sys.argv', [str(x) for x in arguments])
    with pytest.raises(SystemExit, match=r"^Error: '.*nan.pth' has 1 weights that are NaN or infinite, first"):
        run_tool(load_tool(name).main)


@pytest.mark.parametrize('content', [b'', b'junk', None])
def test_what_is_no_failure_is_refused(tmp_path, content):
    path = tmp_path / 'failure.pth'
    path.write_bytes(content) if content is not None else torch.save({}, path)
    with pytest.raises(DataError, match='is no file of work_dir/failures'):
        read_failure(path)


@pytest.mark.slow
def test_images_of_every_process_are_named(shapes, tmp_path):
    """The gradient is the same in both processes; each knows of its own images only."""
    config = write_config(tmp_path, shapes)
    options = ['model.criterion.mask_weight=1e999', 'train_cfg.max_iters=1', 'val_cfg=None', 'val_dataloader=None']
    command = ('bash', ROOT / 'tools' / 'dist_train.sh', config, '2', '--cfg-options', *options, 'val_evaluator=None')
    path = os.pathsep.join([str(ROOT / 'projects'), os.environ.get('PYTHONPATH', '')])
    done = run_script(*command, cwd=tmp_path, PYTHONPATH=path, PORT=free_port())
    assert done.returncode == 0, done.stderr[-3000:]
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if 'NaN or infinite at iteration 0' in line]
    found = re.findall(r'loss_mask, loss_aux of images (\S+\.jpg), (\S+\.jpg) on rank (\d)', line)
    assert [rank for *_, rank in found] == ['0', '1'] and len({name for *names, _ in found for name in names}) == 4
    assert [path.name for path in kept(tmp_path)] == ['iter_0_rank_0.pth', 'iter_0_rank_1.pth']
