"""What null, text or a list in the place of something else raises, as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mask2former.errors import DataError, UserError

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


@contextmanager
def malformed(what: str, path: Path) -> Iterator[None]:
    """Within it, what a malformed file raises names the file.

    Args:
        what: What of the file is read, as the beginning of a sentence.
        path: The file.

    Raises:
        DataError: If it is malformed.
    """
    try:
        yield
    except UserError:
        raise
    except MALFORMED as error:
        raise DataError(f"{what} of '{path}' is malformed ({type(error).__name__}: {error}); correct it.") from error
