"""Converts many files in parallel, and resumes where an interrupted run stopped."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mask2former.errors import DataError, UserError
from mask2former.progress import ProgressBar

# Function, items by name, and what the progress bar says; returns results by name, in the order of the items.
Convert = Callable[[Callable[[Any], Any], Mapping[str, Any], str], dict[str, Any]]


@contextmanager
def resumable(journal: str | Path, num_workers: int, settings: Mapping[str, Any] | None = None) -> Iterator[Convert]:
    """Have each result written to a journal as soon as it is there; a run that failed resumes from it.

    ::

        with resumable('all.journal', num_workers=4) as convert:
            results = convert(function, {'a': 'a.png', 'b': 'b.png'}, 'progress')
            write_json('all.json', list(results.values()))

    ``function`` takes an item and returns what JSON can hold. It runs in other processes where there are several
    workers, so it must be importable (``functools.partial`` of one is). It writes files by functions of ``formats``,
    which leave no half-written one. The journal is deleted at the end of the block, when what is made of the results
    is written.

    Args:
        journal: The file of results, one line an item; its folder is made.
        num_workers: Processes; 1 works in this one.
        settings: What the results depend on apart from the items; kept in the journal.

    Raises:
        DataError: If the journal is of other settings.
        RuntimeError: If the function fails by anything else than a ``UserError`` or an ``OSError``; says at which item.
    """
    yield partial(_convert_all, Path(journal), num_workers, settings or {})
    Path(journal).unlink(missing_ok=True)


def _convert_all(
    journal: Path,
    num_workers: int,
    settings: Mapping[str, Any],
    function: Callable[[Any], Any],
    items: Mapping[str, Any],
    description: str,
) -> dict[str, Any]:
    results = _read_journal(journal, settings, items)
    todo = {name: item for name, item in items.items() if name not in results}
    journal.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lines = stack.enter_context(journal.open('w', encoding='utf-8'))
        for record in (settings, *([name, result] for name, result in results.items())):
            lines.write(json.dumps(record) + '\n')
        bar = stack.enter_context(ProgressBar(desc=description, total=len(items), initial=len(results)))

        def keep(name: str, result_of: Callable[[], Any]) -> None:
            try:
                results[name] = result_of()
            except (UserError, OSError):  # names the file itself
                raise
            except Exception as error:
                raise RuntimeError(f"'{name}' could not be converted.") from error
            lines.write(json.dumps([name, results[name]]) + '\n')
            lines.flush()
            bar.update()

        if num_workers <= 1:
            for name, item in todo.items():
                keep(name, partial(function, item))
        else:
            pool = ProcessPoolExecutor(num_workers)
            stack.callback(pool.shutdown, cancel_futures=True)
            names = {pool.submit(function, item): name for name, item in todo.items()}
            for future in as_completed(names):
                keep(names[future], future.result)
    return {name: results[name] for name in items}


def _read_journal(journal: Path, settings: Mapping[str, Any], items: Mapping[str, Any]) -> dict[str, Any]:
    """The results of a former run; of a line that was cut off when that run was killed, nothing."""
    if not journal.is_file():
        return {}
    records = []
    for line in journal.read_text(encoding='utf-8').splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    if not records:
        return {}
    if records[0] != json.loads(json.dumps(settings)):
        raise DataError(f"'{journal}' is left from a run with other settings ({records[0]}); delete it to begin again.")
    return {name: result for name, result in records[1:] if name in items}
