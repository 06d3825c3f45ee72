"""A process whose other one is gone says so in a sentence."""

import os
from signal import SIGTERM

import pytest
import torch

from mask2former.engine.lost_process import lost_process_explained
from mask2former.errors import UserError
from tests.forked import run_in_two


def _wait_for_the_other(rank: int, port: str, path: str) -> None:
    os.environ |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK=str(rank), WORLD_SIZE='2')
    torch.distributed.init_process_group('gloo')
    torch.distributed.barrier()
    if rank == 1:
        os._exit(9)
    ends = []
    for received in (None, SIGTERM):
        try:
            with lost_process_explained(iter([received]).__next__):
                torch.distributed.all_reduce(torch.zeros(1))
        except BaseException as error:
            ends.append(f'{type(error).__name__} {error}')
    with open(path, 'w') as file:
        file.write('\n'.join(ends))
    os._exit(0)


def test_another_process_is_gone(tmp_path):
    run_in_two(_wait_for_the_other, str(tmp_path / 'ends'))
    failed, ended = (tmp_path / 'ends').read_text().splitlines()
    assert failed.startswith('UserError Another process of this run has ended') and '--resume (' in failed
    assert ended == 'SystemExit 143'


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match='gloo/pair.cc: Connection closed') as raised:
        with lost_process_explained(lambda: None):
            raise RuntimeError('gloo/pair.cc: Connection closed by peer, says one process that is alone')
    assert not isinstance(raised.value, UserError)
