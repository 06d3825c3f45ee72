"""Dataloaders have no more workers than there are processor cores, and that is said once."""

import warnings

import pytest

from mask2former.engine import workers
from tests.tiny import train


@pytest.mark.parametrize(('asked', 'cores', 'expected'), [(0, 1, 0), (1, 1, 1), (4, 2, 2), (4, 16, 4)])
def test_as_many_as_there_are_cores(monkeypatch, asked, cores, expected):
    said = []
    monkeypatch.setattr(workers, 'print_log', lambda text, logger: said.append(text))
    monkeypatch.setattr(workers, 'usable_cores', lambda: cores)
    workers._say.cache_clear()
    assert [workers.bounded_workers(asked) for _ in range(2)] == [expected] * 2
    assert said == ['2 workers load the images, not 4: there are no more processor cores.'] * (asked > cores)


def test_a_training_has_no_more_and_torch_does_not_warn(run, tmp_path):
    cores = workers.usable_cores()
    workers._say.cache_clear()
    with warnings.catch_warnings():
        warnings.filterwarnings('error', 'This DataLoader will create')
        runner = train(
            run.config, work_dir=str(tmp_path), train_cfg__max_iters=1, train_dataloader__num_workers=cores + 1
        )
    assert runner.train_dataloader.num_workers == cores
    assert f'{cores} workers load the images, not {cores + 1}' in next(tmp_path.rglob('*.log')).read_text()


def test_no_workers_need_no_other_key(run, tmp_path):
    """The configs keep their workers; of 0 workers torch refuses to keep any."""
    runner = train(
        run.config,
        work_dir=str(tmp_path),
        train_cfg__max_iters=1,
        train_dataloader__num_workers=0,
        train_dataloader__persistent_workers=True,
        train_dataloader__prefetch_factor=2,
    )
    assert runner.train_dataloader.num_workers == 0
    assert not runner.train_dataloader.persistent_workers
