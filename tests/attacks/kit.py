"""How an attack ends: what a user sees last."""

from collections.abc import Callable

from mask2former.apis.cli import run_tool

FINE = 'fine'  # nothing is said, and the exit code is 0
LONGEST = 700  # characters of a sentence


def last_line(call: Callable[[], object]) -> str:
    """What a tool says last, ``FINE`` where it ends well. Any error that would be a traceback comes through."""

    def run() -> None:
        call()

    try:
        run_tool(run)
    except SystemExit as end:
        if end.code in (None, 0):
            return FINE
        assert isinstance(end.code, str), f'it ends with {end.code} and says nothing of it'
        assert len(end.code) <= LONGEST and '\n' not in end.code, f'more than a sentence: {end.code}'
        return end.code
    return FINE
