"""Progress of long work outside a training."""

import sys

from tqdm import tqdm


class ProgressBar(tqdm):
    """tqdm's bar on the error stream; where that is no terminal, a plain line every ten seconds.

    Takes tqdm's arguments.
    """

    monitor_interval = 0  # no thread beside workers that are forked

    def __init__(self, *args, **kwargs) -> None:
        self.moves = sys.stderr.isatty()
        super().__init__(*args, mininterval=0.1 if self.moves else 10, miniters=1, leave=self.moves, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool | None:
        """Show how far it is; tqdm calls it when that is due, and at the end."""
        if self.moves:
            return super().display(msg, pos)
        print(self, file=sys.stderr)
        return None
