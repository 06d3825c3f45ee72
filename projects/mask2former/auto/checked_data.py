"""The data check of a training that is made of a folder of images: what can be left out is left out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mask2former.data_tools.check import Report, check_splits, read_splits, write_clean_copy
from mask2former.data_tools.check.statistics import problems_by_kind
from mask2former.errors import DataError
from mask2former.progress import ProgressBar

from .choices import Machine
from .data import Prepared

_MOST_PIXELS = 2000  # images whose pixels are checked; of larger data sets the headers are


def check(prepared: Prepared, out: Path, say: Callable[[str], None], machine: Machine) -> tuple[Prepared, Report]:
    """Look for faults; what can be left out is left out.

    Raises:
        DataError: If something has to be mended by hand, or nothing is left.
    """
    init_default_scope('mask2former')
    report = _report_of(prepared, machine)
    if not report.num_errors:
        say(f'The data check finds no error in {sum(len(split.source.entries) for split in report.splits)} images.')
        return prepared, report
    for split in report.splits:
        for kind in problems_by_kind(split, 1):
            if kind.is_error:
                say(f'{split.source.name}: {kind.total} × {kind.kind}, such as: {kind.examples[0]}')
    copies = {}
    for split in report.splits:
        name = split.source.name
        changes, count = write_clean_copy(split, out / 'data' / 'clean' / name)
        say(f'{name}: {count} of {len(split.source.entries)} images are used, from a clean copy of the annotations.')
        copies[name] = _with_changes(getattr(prepared, name), changes)
    prepared = replace(prepared, train=copies['train'], val=copies['val'])
    report = _report_of(prepared, machine)
    if report.num_errors:
        [kind, *_] = (kind for split in report.splits for kind in problems_by_kind(split, 1) if kind.is_error)
        raise DataError(f'{kind.total} × {kind.kind} is for you to mend, such as: {kind.examples[0]}.')
    return prepared, report


def _report_of(prepared: Prepared, machine: Machine) -> Report:
    cfg = Config(dict(train_dataloader=dict(dataset=prepared.train), val_dataloader=dict(dataset=prepared.val)))
    sources = [source for name in ('train', 'val') for source in read_splits(cfg, name)]
    for source in sources:
        if not source.entries:
            raise DataError(f'The {source.name} split has no image: {source.title}.')
    headers_only = sum(len(source.entries) for source in sources) > _MOST_PIXELS
    return check_splits(sources, headers_only, machine.cores, lambda entries, name: ProgressBar(entries, desc=name))


def _with_changes(data: dict, changes: dict[str, str]) -> dict:
    """A data set's settings with those of a clean copy, whose keys may lead into others with dots."""
    cfg = Config(dict(data))
    cfg.merge_from_dict(changes)
    return cfg.to_dict()
