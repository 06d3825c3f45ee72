"""What a study measured: the curves of its runs in one object, and tables at equal iterations and at equal time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mask2former.errors import ConfigError, DataError
from mask2former.formats.run_files import Curve, read_curve

if TYPE_CHECKING:
    from .study import Study


# What is kept of a validation, where it is measured, and what tables call it.
METRICS = {'PQ': 'PQ', 'PQ_th': 'PQ things', 'PQ_st': 'PQ stuff', 'segm_mAP': 'AP', 'mIoU': 'mIoU'}


def collect(study: Study, work_dir: Path) -> dict[str, Any]:
    """The finished runs of a study, as one object for a JSON file.

    Returns:
        dict[str, Any]: ``study``, its name; ``max_iters``; ``runs``, a list of objects with ``variant``, ``seed`` and
        ``curve``, whose points have ``iter``, ``seconds`` and metrics in percent.
    """
    runs = []
    max_iters = 0
    for run in study.runs():
        folder = work_dir / run.folder
        max_iters = study.make_config(run, folder).train_cfg.max_iters
        curve = read_curve(folder)
        if curve and curve[-1]['iter'] == max_iters:
            kept = [{key: point[key] for key in ('iter', 'seconds', *METRICS) if key in point} for point in curve]
            runs.append(dict(variant=run.variant.name, seed=run.seed, curve=kept))
    return dict(study=study.name, max_iters=max_iters, runs=runs)


def read_results(path: str | Path) -> dict[str, Any]:
    """Read what :func:`collect` gave.

    Raises:
        DataError: If the file is something else, or has no run.
    """
    try:
        results = json.loads(Path(path).read_text(encoding='utf-8'))
        complete = all(run['curve'] and {'variant', 'seed'} <= set(run) for run in results['runs'])
    except (ValueError, KeyError, TypeError):
        complete, results = False, {}
    if not complete or not results['runs']:
        raise DataError(f"'{path}' is no results.json of a study with a finished run: give one that this tool wrote.")
    return results


def curves_by_variant(results: dict[str, Any]) -> dict[str, list[Curve]]:
    """The curves of each variant's runs, in the order of the runs."""
    found: dict[str, list[Curve]] = {}
    for run in results['runs']:
        found.setdefault(run['variant'], []).append(run['curve'])
    return found


def at_seconds(curve: Curve, seconds: float) -> dict[str, float]:
    """A curve's point after so much training time, between its measured ones on a straight line.

    Raises:
        ConfigError: If the time is before the first point or after the last one.
    """
    times = [point['seconds'] for point in curve]
    if not times[0] <= seconds <= times[-1]:
        raise ConfigError(f'A run was measured from {times[0]:.0f} to {times[-1]:.0f} seconds, not at {seconds:.0f}.')
    return {key: float(np.interp(seconds, times, [point[key] for point in curve])) for key in curve[0]}


def equal_time(results: dict[str, Any]) -> float:
    """The training time that all runs have: that of the fastest one."""
    return min(run['curve'][-1]['seconds'] for run in results['runs'])


def text_of(values: Sequence[float]) -> str:
    """The mean of several seeds with the lowest and the highest of them; of one seed its value."""
    mean = f'{np.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ({min(values):.1f} to {max(values):.1f})'


def make_table(results: dict[str, Any], point: Callable[[Curve], dict[str, float]]) -> str:
    """A table in Markdown: a row for each variant, of the points that ``point`` takes from the curves of its runs."""
    by_variant = curves_by_variant(results)
    keys = [key for key in METRICS if all(key in run['curve'][-1] for run in results['runs'])]
    lines = [f'| variant | runs | {" | ".join(METRICS[key] for key in keys)} | iterations | seconds |']
    lines.append('|---' * (len(keys) + 4) + '|')
    for name, curves in by_variant.items():
        points = [point(curve) for curve in curves]
        cells = [text_of([each[key] for each in points]) for key in keys]
        cells += [f'{np.mean([each[key] for each in points]):.0f}' for key in ('iter', 'seconds')]
        lines.append(f'| {name} | {len(curves)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def make_report(results: dict[str, Any]) -> str:
    """The tables at equal iterations and at equal time."""
    seconds = equal_time(results)
    iterations = (
        f'After {results["max_iters"]} iterations, mean of the runs (lowest to highest):\n\n'
        f'{make_table(results, lambda curve: curve[-1])}\n\n'
    )
    if any(seconds < run['curve'][0]['seconds'] for run in results['runs']):
        return (
            iterations + 'At equal time: a run was finished before another was measured first; validate more often.\n'
        )
    return iterations + (
        f'After {seconds:.0f} seconds of training, which the fastest run took:\n\n'
        f'{make_table(results, lambda curve: at_seconds(curve, seconds))}\n'
    )
