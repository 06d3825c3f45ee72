"""Sharded training does what DDP does, in a part of the memory; any number of processes reads its checkpoints."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook

from mask2former.apis.config_check import find_faults
from mask2former.checkpoints.sharded_folder import _sum_of, read_folder
from mask2former.engine.find_resumable import find_resumable
from mask2former.engine.fsdp import FSDP, check_offered, check_optimizer, units_of
from mask2former.errors import CheckpointError, ConfigError
from mask2former.registry import HOOKS, MODELS
from tests.forked import run_forked, run_forked_ranks
from tests.tiny import ROOT, build_tiny, tiny_config, write_config

from .fsdp_steps import RESUMED, SWIN, VARIANTS

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='compares CPU processes to the last digits; hide the GPUs (CUDA_VISIBLE_DEVICES=)'
)
TRAIN, TEST = ROOT / 'tools' / 'train.py', ROOT / 'tools' / 'test.py'
EXTRA = """
custom_imports = dict(imports=['mask2former', 'tests.test_engine.double_model'], allow_failed_imports=False)
model.update(type='DoubleModel', backbone=dict(
    _delete_=True, type='mmdet.SwinTransformer', embed_dims=16, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4),
    drop_path_rate=0.0))
# Flat colours make many points equally uncertain: which of them are chosen is a matter of the last bit.
model['criterion'].update(importance_ratio=0.0)
# A norm is a sum in another order, and the optimizer rounds the ends of shards in another way: such a change of 1e-16
# shall not flip a pixel of an attention mask after some steps (clipping and these masks are compared in fsdp_steps.py).
optim_wrapper = dict(clip_grad=None)
model['head'].update(masked_attention=False)
train_cfg = dict(max_iters=20, val_interval=20)
default_hooks['checkpoint'].update(interval=6, save_best='mIoU')
default_hooks.update(logger=dict(interval=1))
randomness = dict(seed=3)
"""
SHARDED = "model_wrapper_cfg = dict(type='FSDP')\n"
FOLDERS = "default_hooks['checkpoint'].update(sharded=True, interval=1)\n"
NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None', 'default_hooks.checkpoint.save_best=None']


def run_ranks(count: int, *command, cwd: Path) -> str:
    """Run a tool; gives what it printed."""
    ranks = run_forked_ranks(count, *command, cwd=cwd)
    assert not any(process.returncode for process in ranks), ranks[0].stderr[-3000:] + ranks[-1].stderr[-3000:]
    return ranks[0].stdout + ranks[0].stderr


@pytest.fixture(scope='module')
def steps(tmp_path_factory) -> Callable[[str], dict]:
    """Gives what the script found with one of its variants."""
    folder = tmp_path_factory.mktemp('steps')

    def find(name: str) -> dict:
        path = folder / f'{name}.json'
        if not path.exists():
            run_ranks(2, ROOT / 'tests' / 'test_engine' / 'fsdp_steps.py', name, path, cwd=ROOT)
        return json.loads(path.read_text())

    return find


@pytest.fixture(scope='module')
def runs(shapes, tmp_path_factory) -> dict[str, Path]:
    """Folders of trainings of 20 steps by two processes: by DDP, by FSDP, and by FSDP with folders from step 19 on."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ('ddp', 'fsdp', 'folder')}
    for name, extra in (('ddp', EXTRA), ('fsdp', EXTRA + SHARDED), ('folder', EXTRA + SHARDED + FOLDERS)):
        write_config(folders[name], shapes, extra)
    for name in ('ddp', 'fsdp'):
        run_ranks(2, TRAIN, 'tiny.py', cwd=folders[name])
    run_ranks(2, TRAIN, 'tiny.py', '--resume', folders['fsdp'] / 'work' / 'iter_18.pth', cwd=folders['folder'])
    return folders


def weights(folder: Path, iteration: int = 20) -> dict[str, torch.Tensor]:
    path = folder / 'work' / f'iter_{iteration}'
    sharded = path.with_suffix('.dcp')
    return (read_folder(sharded) if sharded.exists() else torch.load(path.with_suffix('.pth')))['state_dict']


def assert_close(first: dict, second: dict, rtol: float = 1e-9) -> None:
    assert list(first) == list(second)  # the same order, too
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=rtol, atol=1e-11, msg=lambda m, name=name: f'{name}: {m}')


def scalars(folder: Path) -> list[dict]:
    """What was logged at each step and validation, but times."""
    [path] = (folder / 'work').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if 'time' not in key and key != 'memory'} for line in lines]


@pytest.mark.parametrize('name', VARIANTS)
def test_steps_are_those_of_ddp(steps, name):
    found = steps(name)
    exact = VARIANTS[name].dtype == torch.float64
    assert found['weights'] < (1e-9 if exact else 1e-4)
    assert found['moments'] < (1e-9 if exact else 1e-2)
    for one, other in zip(found['ddp'], found['fsdp']):
        assert (one['skipped'], one['steps']) == (other['skipped'], other['steps'])
        for expected, logged in zip(one['losses'], other['losses']):
            assert logged == pytest.approx(expected, rel=1e-9 if exact else 1e-3, nan_ok=True)


def test_a_process_has_half_of_everything(steps):
    for name in ('plain', 'recomputed', 'bfloat16'):
        for one, other in zip(steps(name)['ddp'], steps(name)['fsdp']):
            for whole, part in zip(one['sizes'], other['sizes']):
                assert 0.45 < part / whole < 0.55


def test_a_step_that_is_infinite_in_one_process_is_left_out_by_all(steps):
    assert [rank['steps'] for rank in steps('infinite')['fsdp']] == [2, 2]  # of three


@pytest.mark.parametrize('name', RESUMED)
def test_a_checkpoint_of_clips_and_of_eomt_is_gone_on_from(steps, name):
    assert [rank['goes_on'] for rank in steps(name)['fsdp']] == [True, True]


def test_twenty_steps_are_those_of_ddp(runs):
    first, second = scalars(runs['ddp']), scalars(runs['fsdp'])
    assert len(first) == len(second) == 21
    for expected, logged in zip(first, second):
        assert logged == pytest.approx(expected, rel=1e-9)
    assert first[-1]['mIoU'] > 0
    assert_close(weights(runs['ddp']), weights(runs['fsdp']))


def test_an_ordinary_file_is_that_of_ddp(runs):
    first, second = (torch.load(runs[name] / 'work' / 'iter_20.pth') for name in ('ddp', 'fsdp'))
    assert first.keys() == second.keys()
    assert_close(first['state_dict'], second['state_dict'])
    assert first['optimizer']['param_groups'] == second['optimizer']['param_groups']
    for index, state in first['optimizer']['state'].items():
        assert_close(state, second['optimizer']['state'][index], rtol=1e-7)


def test_a_folder_holds_what_the_file_holds(runs):
    file, folder = (
        torch.load(runs['fsdp'] / 'work' / 'iter_20.pth'),
        read_folder(runs['folder'] / 'work' / 'iter_20.dcp'),
    )
    assert file.keys() == folder.keys()
    for name, value in file['state_dict'].items():
        assert torch.equal(value, folder['state_dict'][name])
    assert (runs['folder'] / 'work' / 'last_checkpoint').read_text().endswith('iter_20.dcp')
    assert [path.name for path in (runs['folder'] / 'work').glob('best_*')] == ['best_mIoU_iter_20.dcp']
    assert not list((runs['folder'] / 'work').glob('.iter*'))


@pytest.mark.slow
def test_one_process_and_then_two_go_on_from_a_file(runs, shapes, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    for folder, extra in ((one, 'train_dataloader.update(batch_size=4)\n'), (two, '')):
        folder.mkdir()
        write_config(folder, shapes, EXTRA + SHARDED + extra)
    options = ['--cfg-options', 'train_cfg.max_iters=19', *NO_VALIDATION]
    run_ranks(1, TRAIN, 'tiny.py', '--resume', runs['fsdp'] / 'work' / 'iter_18.pth', *options, cwd=one)
    run_ranks(2, TRAIN, 'tiny.py', '--resume', one / 'work' / 'iter_19.pth', cwd=two)
    assert_close(weights(runs['ddp']), weights(two))


def test_one_process_goes_on_from_a_folder(runs, shapes, tmp_path):
    write_config(tmp_path, shapes, EXTRA + SHARDED + FOLDERS + 'train_dataloader.update(batch_size=4)\n')
    options = ['--cfg-options', *NO_VALIDATION]
    run_ranks(1, TRAIN, 'tiny.py', '--resume', runs['folder'] / 'work' / 'iter_19.dcp', *options, cwd=tmp_path)
    assert_close(weights(runs['ddp']), weights(tmp_path))


@pytest.mark.slow
def test_two_processes_go_on_from_a_folder_with_the_validation_that_is_due(runs, shapes, tmp_path):
    """Weights are gathered before any forward pass was made."""
    write_config(tmp_path, shapes, EXTRA + SHARDED)
    run_ranks(2, TRAIN, 'tiny.py', '--resume', runs['folder'] / 'work' / 'iter_20.dcp', cwd=tmp_path)
    [found] = scalars(tmp_path)
    assert found == pytest.approx(scalars(runs['ddp'])[-1], rel=1e-6)


@pytest.mark.parametrize(('name', 'count'), [('fsdp', 2), ('folder', 1)])
def test_a_test_measures_what_the_validation_did(runs, name, count):
    checkpoint = next((runs[name] / 'work').glob('iter_20.*'))
    run_ranks(count, TEST, 'tiny.py', checkpoint, cwd=runs[name])
    tested = json.loads((runs[name] / 'work' / 'test_metrics.json').read_text())
    validated = scalars(runs['ddp'])[-1]
    for key in ('PQ', 'segm_mAP', 'mIoU'):
        assert tested[key] == pytest.approx(validated[key], rel=1e-6)


def test_a_folder_becomes_an_ordinary_file(runs, tmp_path):
    folder, target = runs['folder'] / 'work' / 'iter_20.dcp', tmp_path / 'whole.pth'
    tool = ROOT / 'tools' / 'model_converters' / 'convert.py'
    done = run_forked(tool, folder, target, '--to', 'mask2former', cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_close(read_folder(folder)['state_dict'], torch.load(target)['state_dict'])


@pytest.mark.parametrize('sharded', [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_signal_to_one_process_lets_all_save(shapes, tmp_path, sharded):
    extra = EXTRA + SHARDED + "custom_hooks = [dict(type='SignalHook', iteration=2)]\n"
    write_config(tmp_path, shapes, extra + (FOLDERS if sharded else ''))
    ranks = run_forked_ranks(2, TRAIN, 'tiny.py', cwd=tmp_path)
    assert [process.returncode for process in ranks] == [143, 143], ranks[0].stderr[-3000:]
    found = find_resumable(tmp_path / 'work')
    assert Path(found).name == ('iter_3.dcp' if sharded else 'iter_3.pth')


def test_a_damaged_folder_is_passed_over(runs, tmp_path):
    shutil.copytree(runs['folder'] / 'work', tmp_path / 'work')
    (tmp_path / 'work' / 'last_checkpoint').unlink()  # which names the original
    newest = tmp_path / 'work' / 'iter_20.dcp'
    file = max(newest.iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r'iter_20.dcp.* is damaged \(the checksum of'):
        read_folder(newest)
    assert Path(find_resumable(tmp_path / 'work')).name == 'iter_19.dcp'
    (newest / 'rest.pth').unlink()
    assert Path(find_resumable(tmp_path / 'work')).name == 'iter_19.dcp'


def test_a_folder_runs_no_code(runs, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'ran',)

    folder = tmp_path / 'iter_20.dcp'
    shutil.copytree(runs['folder'] / 'work' / 'iter_20.dcp', folder)
    (folder / '.metadata').write_bytes(pickle.dumps(Evil()))
    rest = torch.load(folder / 'rest.pth', weights_only=True)
    rest['sums']['.metadata'] = _sum_of(folder / '.metadata')
    torch.save(rest, folder / 'rest.pth')
    with pytest.raises(CheckpointError, match='it asks for'):
        read_folder(folder)
    assert not (tmp_path / 'ran').exists()


def test_blocks_are_units_only_where_they_are_called():
    model = build_tiny()
    assert len(units_of(model)) == 8 + 1 + 1 + 3  # of ResNet-18, itself, an encoder layer, decoder layers
    frozen = MODELS.build(dict(tiny_config(), backbone=dict(type='FrozenBNResNet', depth=18)))
    assert len(units_of(frozen)) == 8 + 1 + 1 + 3
    first = frozen.backbone.layer1[0]  # its weights are used, but it is not called
    uncalled = type('Uncalled', (type(first),), {'__call__': lambda self, x: self.forward(x)})
    for stage in (frozen.backbone.layer1, frozen.backbone.layer2, frozen.backbone.layer3, frozen.backbone.layer4):
        for block in stage:
            block.__class__ = uncalled
    assert len(units_of(frozen)) == 1 + 1 + 3
    swin = MODELS.build(dict(tiny_config(), backbone=dict(SWIN)))
    assert len(units_of(swin)) == 5 + 1 + 1 + 3


def a_runner(hooks=(), model=None, **cfg) -> SimpleNamespace:
    return SimpleNamespace(cfg=Config(cfg), hooks=list(hooks), model=FSDP(model or build_tiny()))


def test_what_does_not_work_is_refused():
    check_offered(a_runner(compile=False))
    for key in ('compile', 'activation_checkpointing', 'efficient_conv_bn_eval'):
        with pytest.raises(ConfigError, match=f'does not work with {key}'):
            check_offered(a_runner(**{key: True}))
    with pytest.raises(ConfigError, match='EMAHook'):
        check_offered(a_runner([EMAHook()]))
    with pytest.raises(ConfigError, match='not Linear'):
        check_offered(a_runner(model=torch.nn.Linear(1, 1)))
    with pytest.raises(ConfigError, match='SegOptimWrapper with AdamW, Adam, SGD'):
        check_optimizer(SimpleNamespace())


def test_misspelt_options_are_named(tmp_path, shapes):
    path = write_config(tmp_path, shapes, SHARDED)
    assert not find_faults(Config.fromfile(path))
    path = write_config(tmp_path, shapes, "model_wrapper_cfg = dict(type='FSDP', reshard_after=False)\n")
    [fault] = find_faults(Config.fromfile(path))
    assert "FSDP has no argument 'reshard_after'; did you mean 'reshard_after_forward'" in fault
    path = write_config(tmp_path, shapes, "default_hooks['checkpoint'].update(sharded=True, background=True)\n")
    with pytest.raises(ConfigError, match='sharded=True does not work with background'):
        HOOKS.build(Config.fromfile(path).default_hooks.checkpoint)
