"""torchrun that ends with a sentence: ``python -m mask2former.apis.torchrun`` takes the arguments of torchrun.

torchrun itself ends with a traceback of its own and a framed report, in which the reason is one line of many.
"""

import signal
import sys

from torch.distributed import DistNetworkError, run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure


def main(arguments: list[str]) -> None:
    """Start the processes and wait for them; the last line printed is why the first one that failed did so."""
    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        sys.exit(f'Error: {reason(rank, failure)}')
    except (ValueError, AssertionError, DistNetworkError) as error:  # no process was started yet
        said = str(error).strip().splitlines() or ['a number is out of its range']
        sys.exit(f'Error: The processes could not be started: {said[0]} (check GPUS, NNODES, PORT, MAX_RESTARTS).')
    except SignalException as error:
        print(f'Ended by {error.sigval.name}.', file=sys.stderr)
        sys.exit(128 + error.sigval)  # as shells have it


def reason(rank: int, failure: ProcessFailure) -> str:
    """Why a process failed: its own sentence, if it left one (see :func:`mask2former.apis.cli.tell_torchrun`)."""
    if isinstance(failure.message, dict):
        return failure.message['message']
    if failure.exitcode >= 0:
        return f'The process of rank {rank} failed with exit code {failure.exitcode}; what it said last stands above.'
    number = -failure.exitcode
    name = signal.Signals(number).name if number in set(signal.Signals) else f'signal {number}'
    kill = ', which is what the system does when memory runs out' if name == 'SIGKILL' else ''
    return f'The process of rank {rank} was ended by {name}{kill}. Begin again, a training with --resume.'


if __name__ == '__main__':
    main(sys.argv[1:])
