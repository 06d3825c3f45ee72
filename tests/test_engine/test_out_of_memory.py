"""Where memory runs out, one sentence says what to lower, with the batch that was too large."""

import pytest
import torch

from mask2former.apis.cli import run_tool
from mask2former.engine.out_of_memory import describe_batch, ran_out_of_memory
from mask2former.errors import OutOfMemoryError
from mask2former.models import Mask2Former
from tests.tiny import train

CUDA = (
    'CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.2 GiB is free.'
)
CPU = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 5368709120 bytes. Error code 12 (Cannot allocate memory)"  # noqa: E501


@pytest.fixture
def full(monkeypatch):
    """Makes the model run out of memory, in training or in a test."""

    def fill(method: str, error: Exception) -> None:
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(Mask2Former, method, fail)

    return fill


@pytest.mark.parametrize(
    ('error', 'size'),
    [(torch.OutOfMemoryError(CUDA), '2.50 GiB'), (RuntimeError(CPU), '5.00 GiB')],
    ids=['CUDA', 'CPU'],
)
def test_a_training_says_what_to_lower(run, tmp_path, full, error, size):
    full('loss', error)
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: train(run.config, work_dir=str(tmp_path)))
    assert caught.value.code == (
        f'Error: Memory ran out in iteration 1 of train, with 2 images of up to 64 x 96 pixels, asking for {size}: '
        "lower train_dataloader.batch_size (now 2) or the crop size of the training's pipeline; or set "
        'model.backbone.with_cp=True, or give --amp.'
    )
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'Traceback' in log and str(error) in log


def test_the_validation_of_a_training_names_its_own_batch(run, tmp_path, full):
    full('predict', torch.OutOfMemoryError(CUDA))
    with pytest.raises(OutOfMemoryError) as caught:
        train(
            run.config,
            work_dir=str(tmp_path),
            train_cfg__max_iters=1,
            train_cfg__val_interval=1,
            val_dataloader__batch_size=1,
        )
    assert str(caught.value) == (
        'Memory ran out in iteration 1 of val, with one image of 64 x 96 pixels, asking for 2.50 GiB: lower the image '
        "size of the val pipeline's Resize."
    )


def test_other_errors_stay_as_they_are(run, tmp_path, full):
    full('loss', RuntimeError('a bug'))
    with pytest.raises(RuntimeError, match='a bug') as caught:
        train(run.config, work_dir=str(tmp_path))
    assert not isinstance(caught.value, OutOfMemoryError)


def test_which_errors_count():
    assert ran_out_of_memory(MemoryError()) and ran_out_of_memory(RuntimeError('CUDA error: out of memory'))
    assert ran_out_of_memory(RuntimeError('CUDNN_STATUS_ALLOC_FAILED')) and ran_out_of_memory(RuntimeError(CPU))
    assert not ran_out_of_memory(RuntimeError('shape mismatch')) and not ran_out_of_memory(OSError('out of memory'))


def test_batches_are_described_in_all_their_forms():
    small, large = torch.zeros(3, 10, 40), torch.zeros(3, 30, 20)
    assert describe_batch(dict(inputs=[small, large])) == (2, '2 images of up to 30 x 40 pixels')
    assert describe_batch(dict(inputs=torch.zeros(4, 3, 5, 6))) == (4, '4 images of up to 5 x 6 pixels')
    assert describe_batch(dict(inputs=[[small, large]]))[1] == 'one image of 30 x 40 pixels'
    assert describe_batch(None) == (0, 'a batch of unknown size')
