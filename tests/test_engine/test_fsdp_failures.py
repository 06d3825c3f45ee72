"""What is said and kept where numbers of a sharded training are not finite: as of one by DDP."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from mask2former.engine.failures import read_failure
from tests.forked import run_forked_ranks
from tests.tiny import ROOT, write_config

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='compares CPU processes to the last digits; hide the GPUs (CUDA_VISIBLE_DEVICES=)'
)
EXTRA = """
custom_imports = dict(imports=['mask2former', 'tests.test_engine.spoil_hooks'], allow_failed_imports=False)
val_cfg = val_dataloader = val_evaluator = None
train_cfg = dict(max_iters=6)
default_hooks['checkpoint'].update(interval=3)
randomness = dict(seed=3)
"""
SHARDED = "model_wrapper_cfg = dict(type='FSDP')\n"
# Finite weights, of which the mask embeddings become infinite.
LARGE = [f"dict(type='ScaleWeight', name='head.mask_embed.{i}.weight', iteration=4, factor=1e30)" for i in (0, 2)]
TERM = "dict(type='InfiniteTerm', name='loss_dice', iterations={iterations}, rank=1)"


class Outcome(NamedTuple):
    """Of two processes the exit codes and what they printed, and the work directory."""

    codes: list[int]
    printed: list[str]
    work: Path

    def sentences(self, rank: int, part: str) -> list[str]:
        """What a process said, without the folder."""
        return [line.replace(str(self.work), 'WORK') for line in self.printed[rank].splitlines() if part in line]


def train(folder: Path, shapes: Path, extra: str) -> Outcome:
    folder.mkdir(exist_ok=True)
    write_config(folder, shapes, EXTRA + extra)
    ranks = run_forked_ranks(2, ROOT / 'tools' / 'train.py', 'tiny.py', cwd=folder)
    return Outcome([x.returncode for x in ranks], [x.stdout + x.stderr for x in ranks], folder / 'work')


@pytest.fixture(scope='module')
def outcomes(shapes, tmp_path_factory) -> dict[str, Outcome]:
    """Trainings by DDP and by FSDP, in which a term is infinite in one process in iteration 1, and masks are in both in
    iteration 4."""
    folder = tmp_path_factory.mktemp('failures')
    hooks = f'custom_hooks = [{", ".join([TERM.format(iterations=[1]), *LARGE])}]\n'
    return {name: train(folder / name, shapes, hooks + extra) for name, extra in (('ddp', ''), ('fsdp', SHARDED))}


def test_a_step_that_is_left_out(outcomes):
    ddp, fsdp = (outcome.sentences(0, 'NaN or infinite at iteration 1') for outcome in outcomes.values())
    assert fsdp == ddp and len(fsdp) == 1
    assert re.search(
        r'at iteration 1 \(the gradients of .* and \d+ more are; loss_dice of images \S+\.jpg, \S+\.jpg on rank 1'
        r'\): this step is left out \(1 in a row\)',
        fsdp[0],
    )


def test_the_layer_and_the_images_are_named_where_predictions_are_not_finite(outcomes):
    ddp, fsdp = outcomes.values()
    assert ddp.codes == fsdp.codes == [1, 1]
    for rank in (0, 1):
        told = fsdp.sentences(rank, 'Error: NaN or infinite predictions')
        assert told == ddp.sentences(rank, 'Error: NaN or infinite predictions') and len(told) == 1, told
        assert re.search(
            rf"at iteration 4, .* On rank {rank}: the output of 'head.mask_embed.2' is not finite first; "
            rf'images \S+\.jpg, \S+\.jpg; the batch is kept in WORK/failures/iter_4_rank_{rank}\.pth',
            told[0],
        )


def test_the_same_batches_and_numbers_are_kept(outcomes):
    names = ['iter_1_rank_1.pth', 'iter_4_rank_0.pth', 'iter_4_rank_1.pth']
    folders = [outcome.work / 'failures' for outcome in outcomes.values()]
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [names, names]
    for name in names:
        ddp, fsdp = (read_failure(folder / name) for folder in folders)
        assert all(torch.equal(a, b) for a, b in zip(ddp['inputs'], fsdp['inputs'], strict=True))
        for key in ('seeds', 'iteration', 'rank', 'world_size', 'error'):
            assert ddp[key] == fsdp[key]
        assert ddp['losses'].keys() == fsdp['losses'].keys()
        for term, value in ddp['losses'].items():
            torch.testing.assert_close(fsdp['losses'][term], value, rtol=1e-4, atol=0.0)


def test_the_other_steps_are_made(outcomes):
    """The checkpoint of the third iteration has the moments of two steps."""
    ddp, fsdp = (torch.load(outcome.work / 'iter_3.pth')['optimizer'] for outcome in outcomes.values())
    for one, other in zip(ddp['state'].values(), fsdp['state'].values(), strict=True):
        assert one['step'] == other['step'] == 2


def test_a_weight_that_is_not_finite_is_named(shapes, tmp_path):
    scaled = "dict(type='ScaleWeight', name='head.query_feat.weight', iteration=1, factor=float('nan'))"
    found = train(tmp_path / 'nan', shapes, f'{SHARDED}custom_hooks = [{scaled}]\n')
    assert found.codes == [1, 1]
    for rank in (0, 1):
        [told] = found.sentences(rank, 'Error: NaN or infinite predictions')
        assert f"On rank {rank}: the weight of 'head.query_feat.weight' is not finite already; images " in told


@pytest.mark.slow
def test_steps_in_a_row_that_are_left_out_end_the_training(shapes, tmp_path):
    hooks = f'custom_hooks = [{TERM.format(iterations=[1, 2])}]\noptim_wrapper = dict(max_skipped=2)\n'
    found = train(tmp_path / 'row', shapes, SHARDED + hooks)
    assert found.codes == [1, 1]
    for rank in (0, 1):
        [told] = found.sentences(rank, 'Error: The gradient or the loss is NaN or infinite at iteration 2')
        assert 'on rank 1' in told and '2 steps in a row were left out, so training stops' in told
    assert not list(found.work.glob('iter_*'))
