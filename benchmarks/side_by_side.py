"""Time training steps or predictions, side by side with those of mmdet and transformers.

    python tools/analysis_tools/benchmark.py CONFIG --mode train --size 512 --batch-size 1 --peers mmdet transformers

Everybody has the same weights and the same images, in a process of its own; the steps alternate. First the logits are
compared: what computes something else is not a peer. No data set is needed. With `--profile` the time of our parts is
printed, with `--floor` how far they are from the processor's speed, with `--scaling` the cost against image size,
segments, queries and batch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mask2former.apis.cli import ConfigParser, Options
from mask2former.checkpoints.zoo import find_config
from mask2former.errors import UserError
from mask2former.formats.files import check_output

from .common import not_negative, parse_size, positive, spread, write_json

ROOT = Path(__file__).resolve().parents[1]
SCALING: dict[str, list] = dict(
    size=['256', '512', '768', '1024'], segments=[5, 12, 50, 100], queries=[50, 100, 200], batch_size=[1, 2]
)
console = Console(stderr=True)


def parse_args() -> argparse.Namespace:
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--mode', choices=['train', 'predict'], default='train')
    parser.add_argument(
        '--size', type=parse_size, default='512', metavar='S|HxW', help='size of the images; default: 512'
    )
    parser.add_argument(
        '--ori-size', type=parse_size, metavar='S|HxW', help='size of predicted masks; default: that of the images'
    )
    parser.add_argument('--batch-size', type=positive, default=1)
    parser.add_argument('--segments', type=positive, default=12, help='segments of an image; default: 12')
    parser.add_argument('--frames', type=positive, help='frames of a clip; default: 2 to train, 30 to predict')
    parser.add_argument('--queries', type=positive, help="number of queries; default: the config's")
    parser.add_argument(
        '--outputs',
        nargs='+',
        help='what is predicted: some of panoptic instance semantic; default: panoptic instance, of videos: tracks',
    )
    parser.add_argument('--peers', nargs='*', default=[], choices=['mmdet', 'transformers'])
    parser.add_argument('--repeats', type=positive, default=5, help='steps that count; default: 5')
    parser.add_argument('--warm-up', type=not_negative, default=2, help='steps before them; default: 2')
    parser.add_argument('--device', default='cpu', help='cpu or cuda; default: cpu')
    parser.add_argument('--threads', type=positive, help='CPU threads; default: all cores')
    parser.add_argument('--amp', choices=['bfloat16', 'float16'], help='mixed precision, for everybody')
    parser.add_argument('--compile', action='store_true', help='torch.compile, for everybody')
    parser.add_argument('--channels-last', action='store_true', help='images and weights with channels last')
    parser.add_argument('--profile', action='store_true', help='print how the time of ours splits')
    parser.add_argument(
        '--floor',
        action='store_true',
        help="print how near ours comes to its floor: its products and convolutions at the CPU's highest speed",
    )
    parser.add_argument(
        '--busy', type=not_negative, default=0, metavar='N', help='keep N cores busy with something else'
    )
    parser.add_argument('--scaling', action='store_true', help='vary size, segments, queries and batch in turn')
    parser.add_argument('--plot', metavar='F', help='picture of the scaling')
    parser.add_argument('--json', metavar='F', help='write the results as a JSON list')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if args.plot and not args.scaling:
        parser.error('--plot draws what --scaling measures: give both')
    for path in filter(None, (args.json, args.plot)):
        check_output(path)
    return args


def size_name(size: tuple[int, int]) -> int | str:
    """The size as it was given: 512, or '800x1333'."""
    return size[0] if size[0] == size[1] else 'x'.join(map(str, size))


class Process:
    """A process with one contestant; see :mod:`benchmarks.worker`."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.log = open(Path(folder) / f'{name}.log', 'w+')
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.worker', name, folder],
            env=dict(os.environ, PYTHONPATH=f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert self.process.stdin and self.process.stdout  # as they are pipes
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def ask(self, word: str) -> dict:
        """Have something done, and its answer."""
        print(word, file=self.stdin, flush=True)
        line = self.stdout.readline()
        answer = json.loads(line) if line else dict(error=f'its process died: {self.last_words()}')
        if 'error' in answer:
            raise UserError(f'{self.name}: {answer["error"]}')
        return answer

    def last_words(self) -> str:
        """The end of what the process printed."""
        self.log.seek(0)
        return self.log.read()[-500:].strip() or 'it was killed, perhaps for lack of memory'

    def close(self) -> None:
        """End the process."""
        self.stdin.close()
        self.process.wait()
        self.stdout.close()
        self.log.close()


def ask_once(name: str, folder: str, *words: str) -> dict:
    """The answer to the last word of a process that is started for them."""
    process = Process(name, folder)
    try:
        return [process.ask(word) for word in words][-1]
    finally:
        process.close()


def measure(spec: dict, repeats: int, warm_up: int, profile: bool = False, floor: bool = False) -> list[dict]:
    """Results of ours and the peers, ours first."""
    from .scene import OURS, agrees

    names = [OURS, *spec['peers']]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'spec.json').write_text(json.dumps(spec))
        for name in names:  # ours comes first, and makes the weights
            with console.status(f'comparing the logits of {name}'):
                errors = ask_once(name, folder, *(['prepare'] if name == OURS else []), 'check')
            text = f'{errors["median"]:.0e} of the largest (median; {errors["worst"]:.0e} at worst)'
            if not agrees(errors):
                raise UserError(f'{name} computes other logits, off by {text}: no comparison.')
            console.print(f'{name}: the same logits but for {text}')
        processes = [Process(name, folder) for name in names]
        try:
            seconds: dict[str, list[float]] = {name: [] for name in names}
            peaks = {}
            for i in range(warm_up + repeats):
                for process in processes:
                    with console.status(f'step {i + 1} of {warm_up + repeats}: {process.name}'):
                        answer = process.ask('step')
                    peaks[process.name] = answer['peak_mb']
                    if i >= warm_up:
                        seconds[process.name].append(answer['seconds'])
            if profile:
                print_profile(processes[0].ask('profile'))
            if floor:
                print_floor(**processes[0].ask('floor'))
        finally:
            for process in processes:
                process.close()
    return [
        dict(
            name=name,
            mode=spec['mode'],
            size=size_name(spec['size']),
            batch_size=spec['batch_size'],
            **{f'seconds_{key}': value for key, value in spread(seconds[name]).items()},
            peak_mb=peaks[name],
        )
        for name in names
    ]


def print_profile(parts: dict[str, float]) -> None:
    """Print the split of a step's time."""
    table = Table('part', 'seconds', 'share', title='Parts of one step of ours')
    for name, seconds in parts.items():
        table.add_row(name, f'{seconds:.4f}', f'{seconds / sum(parts.values()):.1%}')
    Console().print(table)


def print_floor(peaks: dict[str, float], seconds: dict[str, float], operations: dict[str, float]) -> None:
    """Print the speed of a step's parts beside the machine's, and how many times its floor the step takes."""
    peak = max(peaks['product'], peaks['convolution'])
    title = (
        f'Peaks: product {peaks["product"] / 1e9:.0f}, convolution {peaks["convolution"] / 1e9:.0f} GFLOP/s, '
        f'copy {peaks["copy"] / 1e9:.1f} GB/s'
    )
    table = Table('part', 'seconds', 'GFLOP', 'GFLOP/s', 'of the peak', title=title)
    rows = [(name, seconds[name], operations[name]) for name in seconds]
    whole = sum(seconds.values()), sum(operations.values())
    for name, time, count in [*rows, ('all', *whole)]:
        speed = count / time
        table.add_row(name, f'{time:.4f}', f'{count / 1e9:.1f}', f'{speed / 1e9:.0f}', f'{speed / peak:.0%}')
    Console().print(table)
    print(f'The floor is {whole[1] / peak:.3f} s; the step takes {whole[0] * peak / whole[1]:.2f} times that.')


@contextmanager
def busy(cores: int) -> Iterator[list[subprocess.Popen]]:
    """Keep cores busy with something else, as on a machine that others use, too."""
    processes = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(cores)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def print_results(results: list[dict], title: str) -> None:
    """Print a table; ratios are of ours to each peer."""
    table = Table('', 'seconds (min - max)', 'peak MB', 'ours / it: time', 'memory', title=title)
    for result in results:
        table.add_row(
            result['name'],
            f'{result["seconds_median"]:.3f} ({result["seconds_min"]:.3f} - {result["seconds_max"]:.3f})',
            f'{result["peak_mb"]:.0f}',
            f'{results[0]["seconds_median"] / result["seconds_median"]:.2f}',
            f'{results[0]["peak_mb"] / result["peak_mb"]:.2f}',
        )
    Console().print(table)


def plot_scaling(rows: list[dict], path: str) -> None:
    """Draw seconds and memory against each quantity that was varied."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(SCALING), figsize=(4 * len(SCALING), 6), squeeze=False)
    for column, quantity in enumerate(SCALING):
        for name in dict.fromkeys(row['name'] for row in rows):
            own = [row for row in rows if row['varied'] == quantity and row['name'] == name]
            for row, key in ((0, 'seconds_median'), (1, 'peak_mb')):
                axes[row][column].plot([int(x['value']) for x in own], [x[key] for x in own], marker='o', label=name)
        axes[0][column].set_title(quantity.replace('_', ' '))
        for row, label, key in ((0, 'seconds', 'seconds_median'), (1, 'peak MB', 'peak_mb')):
            axes[row][column].set_ylabel(label)
            axes[row][column].set_ylim(0, 1.1 * max(x[key] for x in rows if x['varied'] == quantity))
            axes[row][column].set_xticks([int(x) for x in SCALING[quantity]])
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    args = parse_args()
    spec = dict(vars(args), config=str(find_config(args.config).resolve()))
    if not args.scaling:
        with busy(args.busy):
            results = measure(spec, args.repeats, args.warm_up, args.profile, args.floor)
        print_results(results, f'{args.mode}, {size_name(args.size)}, batch {args.batch_size}, {args.device}')
    else:
        results = []
        for quantity, values in SCALING.items():
            for value in values:
                changed = dict(spec, **{quantity: parse_size(value) if quantity == 'size' else value})
                with busy(args.busy):
                    rows = measure(changed, args.repeats, args.warm_up)
                print_results(rows, f'{args.mode}, {quantity.replace("_", " ")} {value}')
                results += [dict(row, varied=quantity, value=value) for row in rows]
        if args.plot:
            plot_scaling(results, args.plot)
    if args.json:
        write_json(args.json, results)
