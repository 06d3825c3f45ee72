"""What the user can fix ends a tool with one sentence; a bug keeps its traceback, wherever it is raised."""

import errno
import os
import pickle
import signal
import traceback

import pytest
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from mask2former import errors
from mask2former.apis.cli import run_tool
from mask2former.errors import DataError, MissingFileError, UserError
from mask2former.formats.rle import as_rle
from mask2former.ops import ms_deform_attn
from tests.forked import run_in_two

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]


class Broken(Dataset):
    """Raises an error for each of its samples."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> None:
        raise self.error


def end_of(error: Exception, num_workers: int | None) -> str | int | None:
    """What a tool that fails with ``error``, here or in a worker of a data loader, exits with."""

    def main() -> None:
        if num_workers is None:
            raise error
        try:
            list(DataLoader(Broken(error), num_workers=num_workers))
        except Exception as raised:
            traceback.clear_frames(raised.__traceback__)  # else the loader waits in vain for its worker, five seconds
            raise

    with pytest.raises(SystemExit) as caught:
        run_tool(main)
    return caught.value.code


class Dies(Dataset):
    """Ends the process that asks for a sample, as the kernel does where memory runs out."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_one_sentence():
    with pytest.raises(
        SystemExit, match=r'^Error: A process that loads images has died \(DataLoader worker \(pid'
    ) as end:
        run_tool(lambda: print(list(DataLoader(Dies(), num_workers=1))))
    assert 'lower num_workers' in end.value.code and '\n' not in end.value.code


@pytest.mark.parametrize('num_workers', [None, 0, 1])
@pytest.mark.parametrize('kind', KINDS)
def test_an_error_of_the_user_is_one_sentence(kind, num_workers):
    sentence = "'a.png' is 3 x 4: ValueError: \nnext line; correct it."
    assert end_of(kind(sentence), num_workers) == f'Error: {sentence}'


@pytest.mark.parametrize('num_workers', [None, 0, 1])
@pytest.mark.parametrize(
    'error', [TypeError('a bug'), ValueError('of another package'), KeyError('x'), AssertionError()]
)
def test_a_bug_keeps_its_traceback(error, num_workers):
    with pytest.raises(type(error)):
        end_of(error, num_workers)


def attend_with_false_shapes() -> None:
    value, locations = torch.zeros(1, 3, 1, 1), torch.zeros(1, 1, 1, 1, 1, 2)
    ms_deform_attn(value, [(1, 1)], locations, locations[..., 0])


@pytest.mark.parametrize('broken', [lambda: as_rle('no masks'), attend_with_false_shapes])
def test_a_bug_that_the_package_itself_notices_keeps_its_traceback(broken):
    with pytest.raises(ValueError) as caught:
        run_tool(broken)
    assert not isinstance(caught.value, UserError)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_the_system_s_own_sentence_comes_from_a_worker_too(num_workers):
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES), 'a.png')
    assert end_of(refused, num_workers) == "Error: [Errno 13] Permission denied: 'a.png'"
    with pytest.raises(OSError, match='pipe'):
        end_of(OSError('a broken pipe, for which no file is named'), num_workers)


def test_the_system_s_own_sentence_names_the_file():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'work/iter_1.pth')
    assert end_of(full, None) == "Error: [Errno 28] No space left on device: 'work/iter_1.pth'"
    with pytest.raises(OSError, match='pipe'):
        end_of(OSError('a broken pipe, for which no file is named'), None)


@pytest.mark.parametrize('kind', KINDS)
def test_they_pass_between_processes(kind):
    copy = pickle.loads(pickle.dumps(kind('sentence')))
    assert type(copy) is kind and str(copy) == 'sentence'


def test_they_are_the_built_in_ones_too():
    with pytest.raises(FileNotFoundError):
        raise MissingFileError('no file')
    with pytest.raises(ValueError):
        raise DataError('wrong')


def _run_rank(rank: int, port: str, folder: str) -> None:
    """Rank 1 fails while rank 0 waits for it in a collective."""
    os.environ |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK=str(rank), WORLD_SIZE='2')
    torch.distributed.init_process_group('gloo')

    def main() -> None:
        if rank == 1:
            raise DataError('rank 1: the file is wrong; correct it.')
        torch.distributed.barrier()

    try:
        run_tool(main)
    except BaseException as error:
        with open(f'{folder}/{rank}', 'w') as file:
            file.write(f'{type(error).__name__} {error}')
        os._exit(1)


def test_another_rank_says_its_own_sentence(tmp_path):
    run_in_two(_run_rank, str(tmp_path))
    assert (tmp_path / '1').read_text() == 'SystemExit Error: rank 1: the file is wrong; correct it.'


def test_what_mmengine_says_of_a_missing_file_is_a_sentence(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = ['absent.py']")
    with pytest.raises(FileNotFoundError) as raised:
        Config.fromfile(config)
    assert 'absent.py' in errors.user_sentence(raised.value)


def test_a_path_with_an_apostrophe_in_a_worker(tmp_path):
    error = FileNotFoundError(
        'Caught FileNotFoundError in DataLoader worker process 0.\nFileNotFoundError: [Errno 2] No '
        'such file or directory: "it\'s.png"'
    )
    assert errors.user_sentence(error).endswith('"it\'s.png"')
