"""Converts many files in parallel, and goes on where an interrupted run stopped."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mask2former.errors import DataError


def convert_all(
    function: Callable[[Any], Any],
    items: Mapping[str, Any],
    *,
    journal: str | Path,
    num_workers: int,
    description: str,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Call ``function`` on every item, each result written to a journal as soon as it is there.

    A second call with the same settings takes the journal's results and works on the other items only. Delete the
    journal when what is made of the results is written (``finish``).

    Args:
        function (Callable): Takes an item and returns what JSON can hold. It runs in other processes where there are
            several workers, so it must be importable (``functools.partial`` of one is). It writes files by functions
            of ``formats``, which leave no half-written one.
        items (Mapping[str, Any]): Items by a name that says which it is.
        journal (str | PathLike): The file of results, one line an item; its folder is made.
        num_workers (int): Processes; 1 works in this one.
        description (str): What the progress bar says.
        settings (Mapping[str, Any], optional): What the results depend on apart from the items; kept in the journal.

    Returns:
        dict[str, Any]: Results in the order of ``items``.

    Raises:
        DataError: If the journal is of other settings.
        RuntimeError: If ``function`` fails by anything else than a ``DataError`` or an ``OSError``; says at which item.
    """
    journal, settings = Path(journal), settings or {}
    results = _read_journal(journal, settings, items)
    todo = {name: item for name, item in items.items() if name not in results}
    journal.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lines = stack.enter_context(journal.open('w', encoding='utf-8'))
        for record in (settings, *([name, result] for name, result in results.items())):
            lines.write(json.dumps(record) + '\n')
        bar = stack.enter_context(tqdm(desc=description, total=len(items), initial=len(results), disable=None))

        def keep(name: str, result_of: Callable[[], Any]) -> None:
            try:
                results[name] = result_of()
            except (DataError, OSError):  # names the file itself
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


def finish(journal: str | Path) -> None:
    """Delete a journal, when the result is complete."""
    Path(journal).unlink(missing_ok=True)


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
        raise DataError(f"'{journal}' is left from a run with other settings ({records[0]}); delete it to begin anew.")
    return {name: result for name, result in records[1:] if name in items}
