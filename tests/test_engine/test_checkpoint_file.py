"""Checkpoints written in the background: the same files, errors that are raised, nothing that is shared."""

import resource
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from mask2former.engine import checkpoint_file
from mask2former.engine.checkpoint_file import BackgroundWriter, snapshot, write_whole
from mask2former.errors import user_sentence
from tests.tiny import train

from .test_exact_resume import differing, trained
from .test_kills import OPTIONS as KILLED

OPTIONS = KILLED | dict(train_cfg__max_iters=2)
BACKGROUND = OPTIONS | dict(default_hooks__checkpoint__background=True)


@pytest.fixture
def slow_save(monkeypatch):
    """Writing takes a while; gives the names of the threads that wrote."""
    save, names = torch.save, []

    def slowly(content, path):
        names.append(threading.current_thread().name)
        time.sleep(0.3)
        save(content, path)

    monkeypatch.setattr(torch, 'save', slowly)
    return names


def test_the_files_are_those_of_a_training_that_waits(run, tmp_path, slow_save):
    folders = [tmp_path / 'waits', tmp_path / 'goes on']
    for folder, options in zip(folders, (OPTIONS, BACKGROUND)):
        train(run.config, work_dir=str(folder), **options)
    assert {name.split('_')[0] for name in slow_save} == {'MainThread', 'checkpoint'}
    names = [sorted(path.name for path in folder.glob('*.p*t*')) for folder in folders]
    assert names[0] == names[1] == ['best_PQ_iter_2.pth', 'iter_2.pth']
    waits, goes_on = (torch.load(folder / 'iter_2.pth') for folder in folders)
    assert not differing(trained(waits), trained(goes_on)) and waits.keys() == goes_on.keys()
    assert (folders[1] / 'last_checkpoint').read_text() == str(folders[1] / 'iter_2.pth')


def test_an_error_is_raised_at_the_next_checkpoint_and_the_one_before_stays(run, tmp_path, monkeypatch):
    save = torch.save

    def full_disk(content, path):
        if content['meta']['iter'] == 2:
            raise OSError(28, 'No space left on device')
        save(content, path)

    monkeypatch.setattr(torch, 'save', full_disk)
    options = BACKGROUND | dict(default_hooks__checkpoint__save_best=None)
    for last in (2, 3):  # at the end of the training, and at the next one
        with pytest.raises(OSError, match='No space left'):
            train(run.config, work_dir=str(tmp_path / str(last)), **options | dict(train_cfg__max_iters=last))
        assert [path.name for path in (tmp_path / str(last)).glob('*.p*t*')] == ['iter_1.pth']


@pytest.mark.parametrize('numbers', [100, 1_000_000])  # more than a limit together, and one of them alone
def test_a_full_disk_is_one_sentence_with_the_file(tmp_path, numbers):
    """A limit to the size of files stands for it: torch says nothing of what the system said."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError) as raised:
            write_whole(
                {str(i): torch.zeros(numbers) for i in range(4000 if numbers == 100 else 4)}, tmp_path / 'iter_2.pth'
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert user_sentence(raised.value) == f"[Errno 27] File too large: '{tmp_path}/iter_2.pth'"
    assert not list(tmp_path.iterdir())


def test_a_signal_waits_for_the_file(run, tmp_path, slow_save, monkeypatch):
    from mask2former.models import Mask2Former

    step = Mask2Former.train_step

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        return step(*args, **kwargs)

    monkeypatch.setattr(Mask2Former, 'train_step', interrupted)
    with pytest.raises(SystemExit):
        train(run.config, work_dir=str(tmp_path), **BACKGROUND | dict(default_hooks__checkpoint__interval=9))
    assert torch.load(tmp_path / 'iter_1.pth')['meta']['iter'] == 1


def test_jobs_after_one_that_failed_are_not_done():
    writer, done = BackgroundWriter(), []
    writer.wait()
    writer.submit(lambda: done.append(1))
    writer.submit(lambda: 1 / 0)
    writer.submit(lambda: done.append(2))
    with pytest.raises(ZeroDivisionError):
        writer.wait()
    writer.submit(lambda: done.append(3))
    writer.wait()
    assert done == [1, 3]


def test_a_snapshot_shares_nothing(tmp_path):
    live = dict(weight=torch.zeros(3), groups=[dict(lr=1.0)], tied=None)
    live['tied'] = live['weight']
    copied = snapshot(live)
    live['weight'] += 1
    live['groups'][0]['lr'] = 2.0
    assert copied['weight'].tolist() == [0, 0, 0] and copied['groups'] == [dict(lr=1.0)]
    assert copied['tied'].data_ptr() == copied['weight'].data_ptr()
    write_whole(copied, tmp_path / 'a.pth')
    assert not torch.load(tmp_path / 'a.pth')['weight'].any() and len(list(tmp_path.iterdir())) == 1


def test_file_and_folder_are_flushed_around_the_renaming(tmp_path, monkeypatch):
    """Whichever moment the machine loses its power at, the name leads to a whole file."""
    done = []
    rename, flush = Path.replace, checkpoint_file.flush_to_disk
    monkeypatch.setattr(Path, 'replace', lambda path, target: (done.append(('rename', path)), rename(path, target))[1])
    monkeypatch.setattr(checkpoint_file, 'flush_to_disk', lambda path: (done.append(('flush', path)), flush(path))[1])
    synced = []
    monkeypatch.setattr('os.fsync', synced.append)
    checkpoint_file.write_whole(dict(a=torch.ones(2)), tmp_path / 'iter_1.pth')
    [(first, part), (second, renamed), (third, folder)] = done
    assert (first, second, third) == ('flush', 'rename', 'flush')
    assert part == renamed != tmp_path / 'iter_1.pth' and folder == tmp_path and len(synced) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / 'iter_1.pth']
