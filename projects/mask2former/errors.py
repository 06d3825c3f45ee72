"""The errors that a user can fix: each message is one sentence that names the file or the setting, and the fix.

The tools end with that sentence. Whatever else is raised is a bug, of this package or of code that it was given, and is
shown with its traceback. Each class is also the built-in one that Python code would catch.
"""

import difflib
import re
from collections.abc import Iterable


class UserError(Exception):
    """Base of the errors below; where nothing more is to be told apart, it is raised itself."""


class ConfigError(UserError, ValueError):
    """A setting of a config, an argument or a flag cannot be."""


class DataError(UserError, ValueError):
    """An annotation, an image, a result or a data set is wrong."""


class CheckpointError(UserError, ValueError):
    """A checkpoint cannot be used."""


class MissingFileError(UserError, FileNotFoundError):
    """There is no such file or folder."""


class MissingPackageError(UserError, ModuleNotFoundError):
    """An optional package is not installed."""


class OutOfMemoryError(UserError, MemoryError):
    """A batch needs more memory than there is."""


class NonFiniteError(UserError, FloatingPointError):
    """NaN or infinite values where a training cannot go on with them."""


def user_sentence(error: BaseException) -> str | None:
    """What to tell the user of an error in one sentence; None where it is a bug, whose traceback is needed.

    Errors of the operating system that name a file (a missing permission, a full disk) have one, and so has what
    mmengine says of a file that is not there.
    """
    message, names_file = str(error), isinstance(error, OSError) and error.filename is not None
    if isinstance(error, RuntimeError) and (died := re.match(r'DataLoader worker \(pid[^)]*\) .*', message)):
        return (
            f'A process that loads images has died ({died[0].rstrip(". ")}): often memory ran out; lower num_workers '
            'of the dataloader, or set it to 0, where errors have a traceback.'
        )
    if message.startswith('Caught ') and ' in DataLoader worker process ' in message:
        # The worker's traceback, by torch; its last part is `module.Type: message`, and attributes are lost.
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__qualname__}'
        message = message.rpartition(f'\n{name}: ')[2].strip()
        names_file = isinstance(error, OSError) and re.fullmatch(r"\[Errno \d+\] .*: (['\"]).*\1", message) is not None
    names_file |= isinstance(error, FileNotFoundError) and bool(message) and '\n' not in message
    return message if isinstance(error, UserError) or names_file else None


def near_names(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Say which of the known names ``name`` may have meant, or the first few where none is near (see ``difflib``)."""
    known = [str(k) for k in known]
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=cutoff)
    if near:
        return f'did you mean {" or ".join(repr(k) for k in near)}?'
    return f'it has {", ".join(repr(k) for k in known[:8])}{" ..." if len(known) > 8 else ""}.'
