"""What a terminal shows of a run: messages, and a line that says how far it is. The log file has everything."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from mmengine.logging import MMLogger
from tqdm import tqdm

FRAMEWORKS = ('mmengine', 'mmcv', 'mmdet')
# Warnings of mmengine about its own calls, which no user can change.
_DEPRECATIONS = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias of')
_COLORS = {logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31}  # yellow, red; ANSI's numbers


def say(text: str, color: int | None = None) -> None:
    """Print lines to the terminal, above the lines of :class:`Progress`; a terminal that has gone away is no error.

    Args:
        text: The lines.
        color: ANSI's number of a colour, for terminals alone.
    """
    if color is not None and sys.stdout.isatty() and 'NO_COLOR' not in os.environ:
        text = f'\033[{color}m{text}\033[0m'
    encoding = sys.stdout.encoding or 'utf-8'
    text = text.encode(encoding, 'backslashreplace').decode(encoding)
    with contextlib.suppress(OSError), tqdm.external_write_mode(file=sys.stdout):
        print(text, flush=True)


def speaker() -> str:
    """The top-level package of the code that is writing to a logger, such as ``'mmengine'``."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get('__name__', '')
        if name != __name__ and name.split('.')[0] != 'logging' and not name.startswith('mmengine.logging'):
            break
        frame = frame.f_back
    return frame.f_globals.get('__name__', '').split('.')[0]


class TerminalHandler(logging.Handler):
    """Shows what this package and its user's code say, and warnings and errors of everybody.

    Not shown: information of the frameworks below (environment, config, hooks, their lines of losses).
    """

    @property
    def stream(self) -> TextIO:
        """Where it goes: mmengine's MLflow backend looks whether that is open."""
        return sys.stdout

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown; see :meth:`logging.Handler.filter`."""
        if speaker() in FRAMEWORKS:
            if record.levelno < logging.WARNING or record.getMessage().startswith(_DEPRECATIONS):
                return False
        return bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record: its text, after the level where that is a warning or worse."""
        try:
            level = f'{record.levelname.capitalize()}: ' if record.levelno >= logging.WARNING else ''
            say(level + self.format(record), _COLORS.get(record.levelno))
        except Exception:
            self.handleError(record)


def quieten(logger: MMLogger) -> None:
    """Let the terminal have what :class:`TerminalHandler` shows, instead of all that the log file has."""
    for index, handler in enumerate(logger.handlers):
        if type(handler) is logging.StreamHandler:
            logger.handlers[index] = TerminalHandler(handler.level)
            logger.handlers[index].filters = handler.filters


class _Bar(tqdm):
    # tqdm's watching thread is not needed, and data workers are forked from this process.
    monitor_interval = 0


class Progress:
    """A line with a bar that moves where there is a terminal; elsewhere plain lines, one in so many seconds.

    Args:
        title: What is going on.
        total: Steps in all.
        done: Steps done before.
        seconds: From one plain line to the next.
    """

    def __init__(self, title: str, total: int, done: int, seconds: float) -> None:
        self.title, self.total, self.done, self.seconds = title, total, done, seconds
        self.moves = sys.stdout.isatty()
        self._last_line = float('-inf')
        self._bar = _Bar(
            desc=title,
            total=total,
            initial=done,
            disable=not self.moves,
            file=sys.stdout,
            mininterval=0.2,
            miniters=1,
            dynamic_ncols=True,
            leave=False,
            bar_format='{desc} {percentage:3.0f} % |{bar:30}| {n_fmt}/{total_fmt}{postfix}',
        )

    def advance(self, short: str, long: Callable[[], str]) -> None:
        """A step is done.

        Args:
            short: What stands beside the bar.
            long: Makes what a plain line says; most steps have none.
        """
        self.done += 1
        if self.moves:
            self._bar.set_postfix_str(short, refresh=False)
            self._bar.update()
            if self.done == self.total:
                self._bar.refresh()  # however soon after the step before
            return
        now = time.monotonic()
        if now - self._last_line >= self.seconds or self.done == self.total:
            self._last_line = now
            say(f'{self.title} {self.done}/{self.total}, {long()}')

    def set_total(self, total: int) -> None:
        """There are more or fewer steps in all than there were."""
        self.total = self._bar.total = total

    def close(self) -> None:
        """Take the line away."""
        self._bar.close()
