"""Curves of a study as a picture."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .curves import METRICS, curves_by_variant

SHOWN = ('PQ', 'PQ_th', 'PQ_st', 'segm_mAP')


def plot_curves(results: dict[str, Any], path: str | Path) -> None:
    """Draw metrics over iterations (mean, and a band from the lowest to the highest run) and over seconds (each run).

    Args:
        results: Of :func:`~mask2former.analysis.curves.collect`.
        path: File to write; its ending says the format, such as ``.svg`` or ``.png``.
    """
    by_variant = curves_by_variant(results)
    keys = [key for key in SHOWN if all(key in run['curve'][0] for run in results['runs'])]
    figure = Figure(figsize=(3.4 * len(keys), 6), layout='constrained')
    axes = figure.subplots(2, len(keys), squeeze=False, sharey='col')
    for index, (name, curves) in enumerate(by_variant.items()):
        color = f'C{index}'
        shared = sorted(set.intersection(*({point['iter'] for point in curve} for curve in curves)))
        for column, key in enumerate(keys):
            rows = [[point[key] for point in curve if point['iter'] in shared] for curve in curves]
            values = np.array(rows)  # (runs, points)
            above, below = axes[:, column]
            above.plot(shared, values.mean(0), color=color, label=name)
            above.fill_between(shared, values.min(0), values.max(0), color=color, alpha=0.2, linewidth=0)
            for curve in curves:
                below.plot([x['seconds'] for x in curve], [x[key] for x in curve], color=color, linewidth=1)
    for column, key in enumerate(keys):
        axes[0, column].set(title=METRICS[key], xlabel='iterations')
        axes[1, column].set(xlabel='seconds of training')
    axes[0, 0].legend(frameon=False)
    # Without a date and with names from a fixed seed, the same curves give the same file.
    with matplotlib.rc_context({'svg.hashsalt': 'mask2former'}):
        figure.savefig(path, dpi=100, metadata={'Date': None} if str(path).endswith('.svg') else None)
