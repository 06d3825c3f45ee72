"""A training that is killed again and again, and resumed, ends with the bits of one that was left alone."""

import json
import random
import re
import signal
from pathlib import Path

import pytest
import torch

from mask2former.engine.find_resumable import find_resumable
from tests.forked import run_forked

from .test_exact_resume import differing, trained

SCRIPT = Path(__file__).with_name('killed_training.py')
OPTIONS = dict(
    train_cfg__max_iters=4,
    train_cfg__val_interval=2,
    default_hooks__checkpoint__interval=1,
    default_hooks__checkpoint__max_keep_ckpts=1,
    default_hooks__checkpoint__save_best='PQ',
    randomness__seed=0,
)


def run_to(work: Path, config: Path, moment: int, **options) -> tuple[int, str]:
    """Train up to a moment; the exit status, and what was printed and said."""
    done = run_forked(SCRIPT, config, work, str(moment), json.dumps(OPTIONS | options))
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope='module')
def whole(run, tmp_path_factory) -> tuple[dict, int]:
    """The last checkpoint of a training that is left alone, and the number of its moments."""
    work = tmp_path_factory.mktemp('whole') / 'work'
    status, said = run_to(work, run.config, 0)
    assert status == 0, said[-3000:]
    return torch.load(work / 'iter_4.pth'), int(re.search(r'moments: (\d+)', said)[1])


@pytest.mark.skipif(torch.cuda.is_available(), reason='GPUs add in no fixed order')
@pytest.mark.parametrize(
    ('kills', 'seed', 'workers'),
    [(20, 0, 0), *(pytest.param(50, seed, seed % 2, marks=pytest.mark.slow) for seed in range(1, 5))],
)
def test_a_training_that_is_killed_ends_with_the_same_bits(run, whole, tmp_path, kills, seed, workers):
    expected, moments = whole
    assert moments > 40
    work, rng, saved, again = tmp_path / 'work', random.Random(seed), 0, 0
    options = dict(resume=True, train_dataloader__num_workers=workers)
    for _ in range(kills):
        status, said = run_to(work, run.config, rng.randint(1, moments // 2), **options)
        if status == 0:  # it reached its end, and begins anew
            assert not differing(trained(torch.load(work / 'iter_4.pth')), trained(expected))
            again, saved = again + 1, 0
            work = tmp_path / f'work_{again}'
            continue
        assert status == -signal.SIGKILL, said[-3000:]
        found = find_resumable(work) if work.is_dir() else None
        iteration = 0 if found is None else torch.load(found)['meta']['iter']
        assert iteration >= saved, f'iteration {saved} was saved and is lost'
        saved = iteration
    status, said = run_to(work, run.config, 0, **options)
    assert status == 0, said[-3000:]
    assert not differing(trained(torch.load(work / 'iter_4.pth')), trained(expected))
