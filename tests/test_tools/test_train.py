"""tools/train.py: its flags and its files."""

import shutil
import signal
import sys
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask2former.apis import run_config
from mask2former.apis.cli import run_tool
from mask2former.registry import HOOKS
from tests.tiny import write_config
from tests.tools import load_tool

NO_VAL = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')


def test_train_takes_options_and_a_work_dir(tool, config, tmp_path):
    runner = tool(
        'train',
        config,
        '--work-dir',
        tmp_path / 'here',
        '--launcher',
        'none',
        '--cfg-options',
        'train_cfg.max_iters=2',
        'optim_wrapper.optimizer.lr=0.25',
        *NO_VAL,
    )
    assert runner.iter == 2
    assert max(group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups) == 0.25
    assert (tmp_path / 'here' / 'last_checkpoint').read_text() == str(tmp_path / 'here' / 'iter_2.pth')
    assert not (tmp_path / 'work').exists()


def test_amp_computes_in_bfloat16_and_keeps_the_parameters_in_float32(tool, config):
    dtypes = set()

    def watch(runner: Runner) -> None:
        runner.model.head.class_embed.register_forward_hook(lambda module, args, out: dtypes.add(out.dtype))

    options = ('--cfg-options', 'train_cfg.max_iters=1', *NO_VAL)
    runner = tool('train', config, '--amp', *options, change=watch)
    assert dtypes == {torch.bfloat16}
    assert {parameter.dtype for parameter in runner.model.parameters()} == {torch.float32}
    saved = torch.load(runner.work_dir + '/iter_1.pth')['state_dict']
    assert {value.dtype for value in saved.values() if value.is_floating_point()} == {torch.float32}


def test_auto_scale_lr_scales_every_group(tool, config):
    def rates(*flags: str) -> list[float]:
        runner = tool(
            'train',
            config,
            *flags,
            '--overwrite',
            '--cfg-options',
            'train_cfg.max_iters=1',
            'optim_wrapper.paramwise_cfg.backbone_lr_mult=0.1',
            *NO_VAL,
        )
        return sorted(group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups)

    plain, scaled = rates(), rates('--auto-scale-lr')
    assert len(plain) == len(scaled) >= 2 == len(set(plain))
    assert scaled == pytest.approx([rate * 2 / 8 for rate in plain])  # a batch of 2, a rate meant for 8


def test_auto_scale_lr_needs_the_batch_size_of_the_rate(tool, config, capsys):
    config.write_text(config.read_text() + '\nauto_scale_lr = dict(_delete_=True)\n')
    with pytest.raises(SystemExit) as caught:
        tool('train', config, '--auto-scale-lr')
    assert caught.value.code == 2
    assert 'has no auto_scale_lr.base_batch_size: add' in capsys.readouterr().err


def test_resume_alone_takes_the_last_checkpoint(tool, run, tmp_path):
    shutil.copy(run.half, tmp_path / 'iter_4.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    runner = tool('train', run.config, '--resume', '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=5')
    assert runner.message_hub.get_scalar('train/loss').data[0].size == 5
    assert runner.iter == 5


def test_resume_with_nothing_to_resume_starts_from_the_beginning(tool, run, tmp_path):
    runner = tool(
        'train', run.config, '--resume', '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=1', *NO_VAL
    )
    assert runner.iter == 1
    log = next(tmp_path.rglob('*.log')).read_text()
    assert f'{tmp_path} has no checkpoint to resume: training starts from the beginning.' in log
    assert 'latest checkpoint None' not in log


def test_resume_takes_a_path(tool, run, tmp_path):
    runner = tool(
        'train', run.config, '--resume', run.half, '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=5'
    )
    assert runner.message_hub.get_scalar('train/loss').data[0].size == 5


@HOOKS.register_module()
class SpoilHook(Hook):
    """Makes the parameters NaN for one iteration, and notes them before and after it."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration
        self.before = self.after = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if batch_idx == self.iteration:
            self.before = runner.model.head.query_feat.weight.detach().clone()
            self.other = runner.model.head.class_embed.weight.detach().clone()
            runner.model.head.query_feat.weight.data[0] = float('nan')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if batch_idx == self.iteration:
            self.after = runner.model.head.class_embed.weight.detach().clone()
            runner.model.head.query_feat.weight.data.copy_(self.before)


def spoil(runner: Runner) -> None:
    runner.register_hook(SpoilHook(1), priority='LOWEST')


def test_nan_ends_the_training_with_the_iteration_and_the_images(tool, config):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: tool('train', config, change=spoil))
    assert signal.getsignal(signal.SIGINT) is handler
    assert 'Error: NaN or infinite predictions in decoder outputs ' in caught.value.code
    assert ' at iteration 1, images ' in caught.value.code
    assert ': lower the learning rate' in caught.value.code


def test_nan_may_be_skipped(tool, config):
    runner = tool('train', config, '--cfg-options', 'model.criterion.matcher.on_nonfinite=skip', *NO_VAL, change=spoil)
    assert runner.iter == 4
    hook = next(hook for hook in runner.hooks if isinstance(hook, SpoilHook))
    assert torch.equal(hook.after, hook.other)  # no step was taken
    final = runner.model.state_dict()
    assert not torch.equal(final['head.class_embed.weight'], hook.other)
    assert all(value.isfinite().all() for value in final.values() if value.is_floating_point())


@pytest.mark.parametrize(
    'flags, amp_dtype, compiled',
    [
        (['{config}'], None, None),
        (['{config}', '--amp'], 'bfloat16', None),
        (['--amp', '{config}'], 'bfloat16', None),
        (['{config}', '--amp', '--compile'], 'bfloat16', True),
        (['--amp', '--amp-dtype', 'float16', '{config}'], 'float16', None),
        (['{config}', '--amp-dtype', 'bfloat16'], 'bfloat16', None),
        (['{config}', '--amp-dtype=float16', '--cfg-options', 'optim_wrapper.amp_dtype=bfloat16'], 'float16', None),
        (['{config}', '--compile', '--cfg-options', 'compile.mode=default'], None, dict(mode='default')),
    ],
    ids=str,
)
def test_flags(tmp_path, monkeypatch, flags, amp_dtype, compiled):
    module, configs = load_tool('train'), []
    monkeypatch.setattr(run_config, 'build_runner', lambda cfg: configs.append(cfg) or mock.Mock())
    config = write_config(tmp_path, tmp_path)
    monkeypatch.setattr(sys, 'argv', ['train.py', *(flag.format(config=config) for flag in flags)])
    module.main()
    cfg: Config = configs[0]
    assert cfg.optim_wrapper.get('amp_dtype') == amp_dtype and cfg.get('compile') == compiled


def test_unknown_type_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['train.py', str(write_config(tmp_path, tmp_path)), '--amp-dtype=int8'])
    with pytest.raises(SystemExit):
        load_tool('train').main()
    assert "'int8'" in capsys.readouterr().err
