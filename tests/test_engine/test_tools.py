"""The command-line tools: their flags, their files, and what they say where something is wrong."""

import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from pycocotools import mask as mask_utils

from mask2former.apis.cli import run_tool
from mask2former.registry import HOOKS

from .tiny import ROOT, load_tool, name_run, run_script, tool_env, write_config

NO_VAL = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')


@pytest.fixture
def tool(monkeypatch):
    """Runs the main function of a tool in this process; returns its runner."""

    def call(name: str, *arguments: str | Path, change=lambda runner: None) -> Runner:
        module, runners = load_tool(name), []
        build = module.build_runner

        def build_runner(cfg):
            name_run(cfg)
            runners.append(build(cfg))
            change(runners[0])
            return runners[0]

        monkeypatch.setattr(module, 'build_runner', build_runner)
        monkeypatch.setattr('sys.argv', [f'{name}.py', *map(str, arguments)])
        module.main()
        return runners[0]

    return call


@pytest.fixture
def config(shapes, tmp_path) -> Path:
    return write_config(tmp_path, shapes)


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


def test_test_writes_metrics_predictions_and_pictures(tool, run, tmp_path, capsys):
    out, pictures = tmp_path / 'all.pkl', tmp_path / 'pictures'
    tool('test', run.config, run.full, '--work-dir', tmp_path, '--out', out, '--show-dir', pictures)
    metrics = json.loads((tmp_path / 'test_metrics.json').read_text())
    assert {'PQ', 'PQ_th', 'PQ_st', 'segm_mAP', 'mIoU'} <= metrics.keys()
    assert all(type(value) is float for value in metrics.values())
    assert f'Metrics are in {tmp_path}/test_metrics.json, pictures in {pictures}.' in capsys.readouterr().out

    results = pickle.loads(out.read_bytes())
    assert sorted(path.stem for path in pictures.iterdir()) == sorted(Path(r['img_path']).stem for r in results)
    assert len(results) == 5
    assert all(cv2.imread(str(path)).std() > 1 for path in pictures.iterdir())
    for result in results:
        instances = result['instances']
        count = len(instances['masks'])
        assert 1 <= count == len(instances['labels']) == len(instances['scores'])
        assert instances['bboxes'].shape == (count, 4)
        masks = mask_utils.decode(instances['masks'])  # (H, W, n)
        assert masks.shape == (64, 96, count)
        panoptic = [mask_utils.decode(segment['mask']) for segment in result['panoptic']]
        assert np.max(np.sum(panoptic, axis=0)) <= 1
        assert all({'id', 'label', 'isthing', 'score'} <= segment.keys() for segment in result['panoptic'])
        semantic = [mask_utils.decode(segment['mask']) for segment in result['semantic']]
        assert (np.sum(semantic, axis=0) == 1).all()  # every pixel has one label
    assert any(result['panoptic'] for result in results)


def test_test_refuses_another_kind_of_file(tool, run, capsys):
    with pytest.raises(SystemExit):
        tool('test', run.config, run.full, '--out', 'all.json')
    assert "--out must name a .pkl file, not 'all.json'" in capsys.readouterr().err


def test_test_does_not_measure_a_model_that_is_loaded_in_part(tool, run, tmp_path):
    checkpoint = torch.load(run.full)
    del checkpoint['state_dict']['head.query_feat.weight']
    torch.save(checkpoint, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r"part.pth' does not fit the model: 1 of .*'head.query_feat.weight' is abse"):
        tool('test', run.config, tmp_path / 'part.pth', '--work-dir', tmp_path)


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


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends this process a signal at the start of its second iteration."""

    def __init__(self, number: int, times: int = 1) -> None:
        self.number, self.times = number, times

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        for _ in range(self.times if batch_idx == 1 else 0):
            signal.raise_signal(self.number)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_where_the_training_is(tool, run, tmp_path, number):
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught:
        tool(
            'train',
            run.config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            'train_cfg.max_iters=8',
            change=lambda runner: runner.register_hook(SignalHook(number)),
        )
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is handler
    assert Path((tmp_path / 'last_checkpoint').read_text()).name == 'iter_2.pth'
    checkpoint = torch.load(tmp_path / 'iter_2.pth')
    assert checkpoint['meta']['iter'] == 2
    assert checkpoint['param_schedulers'][0]['last_step'] == 2  # all of the iteration's hooks have run


def test_a_second_signal_ends_the_training_at_once(tool, run, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit, match='^Interrupted.$'):
        run_tool(
            lambda: tool(
                'train',
                run.config,
                '--work-dir',
                tmp_path,
                change=lambda runner: runner.register_hook(SignalHook(signal.SIGINT, times=2)),
            )
        )
    assert signal.getsignal(signal.SIGINT) is handler
    assert not list(tmp_path.glob('*.pth'))


def test_a_process_that_is_terminated_leaves_a_checkpoint(config, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / 'tools' / 'train.py',
            config,
            '--cfg-options',
            'train_cfg.max_iters=100000',
            'train_dataloader.num_workers=1',
            'default_hooks.logger.interval=1',
            'default_hooks.checkpoint.interval=90000',
            *NO_VAL,
        ],
        env=tool_env(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:
            if 'Iter(train)' in line:
                break
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, output
    assert 'go on from there with --resume' in output
    assert 'Traceback' not in output
    assert torch.load((tmp_path / 'work' / 'last_checkpoint').read_text())['meta']['iter'] >= 1


def bad_category(data: Path) -> None:
    file = data / 'annotations' / 'panoptic_train.json'
    content = json.loads(file.read_text())
    content['annotations'][0]['segments_info'][0]['category_id'] = 77
    file.write_text(json.dumps(content))


def test_an_error_of_the_user_is_one_sentence(shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / 'data')
    bad_category(tmp_path / 'data')
    config = write_config(tmp_path, tmp_path / 'data')
    process = run_script(sys.executable, ROOT / 'tools' / 'train.py', config, cwd=tmp_path)
    assert process.returncode == 1
    assert 'Traceback' not in process.stderr
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('Error: Image ')
    assert "has a segment with category_id 77, which no entry of 'categories' has; add the category" in last


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


@pytest.mark.parametrize(
    ('script', 'arguments', 'command'),
    [
        (
            'slurm_train.sh',
            ['part', 'job', 'c.py', 'out', '--amp'],
            ['train.py', '--launcher', 'slurm', 'c.py', '--work-dir', 'out', '--amp'],
        ),
        (
            'slurm_test.sh',
            ['part', 'job', 'c.py', 'c.pth', '--out', 'a b.pkl'],
            ['test.py', '--launcher', 'slurm', 'c.py', 'c.pth', '--out', 'a b.pkl'],
        ),
    ],
)
def test_slurm_scripts_call_srun(tmp_path, script, arguments, command):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nfor argument; do echo "$argument"; done\n')
    srun.chmod(srun.stat().st_mode | stat.S_IXUSR)
    env = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='4', GPUS_PER_NODE='2', SRUN_ARGS='--time 10 --exclusive')
    process = run_script('bash', ROOT / 'tools' / script, *arguments, cwd=tmp_path, **env)
    assert process.returncode == 0, process.stderr
    words = process.stdout.splitlines()
    end = words.index('-u')
    assert ' '.join(words[:end]) == (
        '--partition part --job-name job --kill-on-bad-exit=1 --gres gpu:2 --ntasks 4 --ntasks-per-node 2 '
        f'--cpus-per-task 5 --time 10 --exclusive {sys.executable}'
    )
    assert Path(words[end + 1]).samefile(ROOT / 'tools' / command[0])
    assert words[end + 2 :] == command[1:]


@pytest.mark.parametrize('script', ['slurm.sh', 'slurm_train.sh', 'slurm_test.sh', 'dist_train.sh', 'dist_test.sh'])
def test_scripts_say_what_they_need(tmp_path, script):
    process = run_script('bash', ROOT / 'tools' / script, 'one', cwd=tmp_path)
    assert process.returncode == 2
    assert f'usage: tools/{script} ' in process.stderr


def test_slurm_without_gpus_is_refused(tool, config):
    if torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    with pytest.raises(SystemExit, match="^Error: Without CUDA the launcher must be 'pytorch', not 'slurm'."):
        run_tool(lambda: tool('train', config, '--launcher', 'slurm'))
