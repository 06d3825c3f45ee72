"""Says in one sentence that another process of a distributed run is gone, instead of a page of traceback."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals

from mmengine.dist import is_distributed

from mask2former.errors import UserError

# What gloo, NCCL and the store say of a process that does not answer.
_LOST = re.compile(
    r'gloo/.*(connection|closed|timed? ?out|broken pipe|reset)|ncclRemoteError|remote process exited|communicator was '
    r'aborted|connection was likely closed|socket timeout',
    re.IGNORECASE | re.DOTALL,
)


def lost_process(error: BaseException) -> bool:
    """Whether an error is of the communication with a process that does not answer any more."""
    return is_distributed() and isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


@contextmanager
def lost_process_explained(received: Callable[[], Signals | None]) -> Iterator[None]:
    """In it, that error becomes one sentence.

    Args:
        received: Gives the signal that this process got to end, if any: then the first process has saved and left
            before it, which is no failure.

    Raises:
        UserError: If another process is gone.
        SystemExit: If it is, and this one was to end by a signal.
    """
    try:
        yield
    except RuntimeError as error:
        if not lost_process(error):
            raise
        number = received()
        if number is not None:
            raise SystemExit(128 + number) from None
        said = re.sub(r'^\[[^]]*\] *', '', str(error).strip().splitlines()[0])[:200]  # without the place in gloo's code
        raise UserError(
            f'Another process of this run has ended, or cannot be reached any more; its own last words say why. Begin '
            f'again, a training with --resume ({said})'
        ) from error
