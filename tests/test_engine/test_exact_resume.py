"""2 + 2 iterations equal 4 to the last bit, whatever takes part in the training."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mask2former.engine import SegIterTrainLoop
from tests.tiny import ROOT, train, write_config
from tests.tools import free_port, run_script

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='GPUs add in no fixed order; hide them (CUDA_VISIBLE_DEVICES=)'
)
OPTIONS = dict(train_cfg__max_iters=4, train_cfg__val_interval=9, default_hooks__checkpoint__interval=2)


def train_in(folder: Path, shapes: Path, **options) -> tuple[Runner, dict]:
    """Train in a folder; the runner, and the last checkpoint."""
    folder.mkdir()
    options = OPTIONS | dict(randomness__seed=0) | options
    runner = train(write_config(folder, shapes), **options)
    return runner, torch.load(folder / 'work' / f'iter_{options["train_cfg__max_iters"]}.pth')


def differing(one: dict, other: dict) -> list[str]:
    """The names of tensors that differ in their bits, of nested dicts and lists."""
    if isinstance(one, dict | list):
        if len(one) != len(other):
            return ['length']
        pairs = [(key, one[key], other[key]) for key in (one if isinstance(one, dict) else range(len(one)))]
        return [f'{key}.{name}' for key, a, b in pairs for name in differing(a, b)]
    return [] if torch.equal(torch.as_tensor(one), torch.as_tensor(other)) else ['']


def trained(checkpoint: dict) -> dict:
    """What a training makes: weights, their means, and the state of the optimizer."""
    return {key: checkpoint[key] for key in ('state_dict', 'ema_state_dict') if key in checkpoint} | dict(
        moments=list(checkpoint['optimizer']['state'].values()), scale=checkpoint['optimizer'].get('loss_scaler', {})
    )


@pytest.mark.parametrize(
    ('options', 'half_options'),
    [
        (dict(train_dataloader__num_workers=0), dict(train_dataloader__num_workers=2)),
        (
            dict(
                custom_hooks=[dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.1, gamma=3)],
                model__head__dropout=0.1,
            ),
            {},
        ),
        (dict(optim_wrapper__accumulative_counts=3), dict(train_cfg__max_iters=3)),  # a last iteration ends a step
        (dict(optim_wrapper__amp_dtype='float16'), {}),
    ],
    ids=['workers', 'ema-dropout', 'accumulation', 'float16'],
)
def test_a_resumed_training_ends_with_the_same_bits(shapes, tmp_path, options, half_options):
    _, full = train_in(tmp_path / 'full', shapes, **options)
    train_in(tmp_path / 'half', shapes, **options | dict(train_cfg__max_iters=2) | half_options)
    path = tmp_path / 'half' / 'work' / 'iter_2.pth'
    _, resumed = train_in(
        tmp_path / 'resumed', shapes, **options, resume=True, load_from=str(path), randomness__seed=None
    )
    assert not differing(trained(resumed), trained(full))
    half = torch.load(path)
    assert ('accumulated' in half['optimizer']) == ('optim_wrapper__accumulative_counts' in options)
    assert differing(trained(half), trained(full))
    if 'ema_state_dict' in full:
        assert full['ema_state_dict']['steps'] == 4
        averaged = {name.removeprefix('module.'): value for name, value in full['ema_state_dict'].items()}
        assert not torch.equal(averaged['head.query_feat.weight'], full['state_dict']['head.query_feat.weight'])


@pytest.mark.slow
def test_two_processes_too(shapes, tmp_path):
    paths = os.pathsep.join((str(ROOT), str(ROOT / 'projects')))

    def run(folder: Path, *arguments: str) -> dict:
        process = run_script(
            'bash',
            ROOT / 'tools' / 'dist_train.sh',
            'tiny.py',
            '2',
            *arguments,
            '--cfg-options',
            *(f'{key.replace("__", ".")}={value}' for key, value in (OPTIONS | changes).items()),
            cwd=folder,
            PYTHONPATH=paths,
            PORT=free_port(),
        )
        assert process.returncode == 0, process.stderr[-3000:]
        return torch.load(folder / 'work' / 'iter_4.pth') if changes['train_cfg__max_iters'] == 4 else {}

    states = {}
    for name in ('full', 'halves'):
        (tmp_path / name).mkdir()
        write_config(tmp_path / name, shapes)
        changes = dict(randomness__seed=0, train_cfg__max_iters=4 if name == 'full' else 2)
        states[name] = run(tmp_path / name)
    changes['train_cfg__max_iters'] = 4
    states['halves'] = run(tmp_path / 'halves', '--resume')
    assert not differing(trained(states['halves']), trained(states['full']))


def test_early_stopping_goes_on_counting_and_a_validation_that_was_cut_short_is_made_up_for(
    shapes, tmp_path, monkeypatch
):
    values = dict(enumerate([5.0, 4.0, 3.0, 2.0, 1.0], 1))
    seen = []
    monkeypatch.setattr(
        'mask2former.evaluation.PanopticQuality.compute_metrics', lambda self, results: dict(PQ=values[seen[-1]])
    )
    original = SegIterTrainLoop._validate_where_due

    def note(loop: SegIterTrainLoop) -> None:
        seen.append(loop.iter)
        original(loop)

    monkeypatch.setattr(SegIterTrainLoop, '_validate_where_due', note)
    early = dict(
        custom_hooks=[dict(type='EarlyStoppingHook', monitor='PQ', rule='greater', min_delta=0, patience=2)],
        train_cfg__max_iters=5,
        train_cfg__val_interval=1,
        default_hooks__checkpoint__interval=1,
    )
    folder = tmp_path / 'full'
    folder.mkdir()
    runner = train(write_config(folder, shapes), **OPTIONS | early)
    assert runner.iter == 3 and seen == [1, 2, 3]
    # Killed in the validation of iteration 2: its checkpoint knows of the first one only.
    seen.clear()
    runner = train(
        write_config(folder, shapes),
        **OPTIONS | early | dict(work_dir=str(tmp_path / 'resumed')),
        resume=True,
        load_from=str(folder / 'work' / 'iter_2.pth'),
    )
    assert runner.iter == 3 and seen == [2, 3]
