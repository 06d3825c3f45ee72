"""How our speed beside the peers changed from commit to commit: python -m benchmarks.history [FOLDER] [--plot F.svg]

The results that `benchmark.py --json` writes are committed in a folder, and git keeps every version of them. Seconds of
two machines cannot be compared; how they compare with a peer's of the same run can. So of each file and version this
prints ours / the faster peer, and memory: ours / the leaner peer; lower is better.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from mask2former.apis.cli import run_tool
from mask2former.errors import UserError

FOLDER = Path(__file__).resolve().parents[1] / 'docs' / 'benchmarks'


class Version(NamedTuple):
    """One version of a file of results.

    Attributes:
        commit: Its short name.
        time: When it was written.
        seconds: Ours, the median.
        time_ratio: To the median of the faster peer.
        memory_ratio: To the peak of the leaner peer.
    """

    commit: str
    time: datetime
    seconds: float
    time_ratio: float
    memory_ratio: float


def git(folder: Path, *arguments: str) -> str:
    """What git says in a folder.

    Raises:
        UserError: If it refuses.
    """
    process = subprocess.run(['git', '-C', str(folder), *arguments], capture_output=True, text=True)
    if process.returncode:
        raise UserError(f"git knows no history of '{folder}': {process.stderr.strip()}")
    return process.stdout


def versions(path: Path) -> Iterator[Version]:
    """All committed versions of a file, the oldest first; those without peers are left out."""
    lines = git(path.parent, 'log', '--reverse', '--format=%h %cI', '--', path.name).splitlines()
    for commit, time in map(str.split, lines):
        if not git(path.parent, 'ls-tree', commit, '--', path.name):  # the commit took it away
            continue
        results = json.loads(git(path.parent, 'show', f'{commit}:./{path.name}'))
        if compares(results):
            ours, *peers = results
            yield Version(
                commit,
                datetime.fromisoformat(time),
                ours['seconds_median'],
                ours['seconds_median'] / min(peer['seconds_median'] for peer in peers),
                ours['peak_mb'] / min(peer['peak_mb'] for peer in peers),
            )


def compares(results: object) -> bool:
    """Whether these are ours and some peers', measured once."""
    if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
        return False
    return len(results) > 1 and all('peak_mb' in row and 'varied' not in row for row in results)


def plot(histories: dict[str, list[Version]], path: Path) -> None:
    """Draw both ratios over the time of the commits."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, key, title in zip(axes, ('time_ratio', 'memory_ratio'), ('time: ours / faster peer', 'memory')):
        for name, history in histories.items():
            axis.plot([x.time for x in history], [getattr(x, key) for x in history], marker='o', label=name)
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        axis.tick_params(axis='x', rotation=30)
    axes[1].legend(fontsize='small')
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', nargs='?', type=Path, default=FOLDER, help='default: docs/benchmarks')
    parser.add_argument('--plot', type=Path, metavar='F.svg', help='draw the ratios')
    args = parser.parse_args()
    files = sorted(args.folder.rglob('*.json'))
    histories = {file.relative_to(args.folder).with_suffix('').as_posix(): list(versions(file)) for file in files}
    histories = {name: history for name, history in histories.items() if history}
    if not histories:
        raise UserError(f"'{args.folder}' has no committed results with a peer: write some by benchmark.py --json.")
    table = Table('', 'commit', 'day', 'ours, s', 'ours / faster', 'memory: ours / leaner')
    for name, history in histories.items():
        for version in history:
            ratios = (f'{ratio:.2f}' for ratio in (version.time_ratio, version.memory_ratio))
            table.add_row(name, version.commit, f'{version.time:%Y-%m-%d}', f'{version.seconds:.3g}', *ratios)
            name = ''
    Console().print(table)
    if args.plot:
        plot(histories, args.plot)


if __name__ == '__main__':
    run_tool(main)
