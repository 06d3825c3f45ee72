"""Look for faults in the data of a config: python tools/misc/check_dataset.py CONFIG [--html F] [--fix D]

Ends with the exit code 1 where there are errors. --headers reads no pixel: for a first look at a large data set.
"""

import mask2former.compat  # noqa: F401, I001  (before anything that imports mmdet)
import os
import sys
import time

from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track

from mask2former.apis.cli import common_parser, load_config, run_tool
from mask2former.data_check import Source, check_splits, write_clean_copy
from mask2former.data_check.show import print_report, write_page
from mask2former.datasets import DataError
from mask2former.registry import DATASETS


def main() -> None:
    parser = common_parser('Look for faults in the data of a config.')
    parser.add_argument('--splits', nargs='+', choices=['train', 'val', 'test'], default=['train', 'val'],
                        help='which to check; the first is searched for images of the others')
    parser.add_argument('--headers', action='store_true', help='check JSON files and headers of files only: fast')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='threads')
    parser.add_argument('--html', metavar='F.html', help='write the report with pictures to this file')
    parser.add_argument('--num-pictures', type=int, default=20, help='pictures of each split in that file')
    parser.add_argument('--fix', metavar='D', help='write clean annotation files to this folder')
    args = parser.parse_args()
    if args.fix and args.headers:
        parser.error('--fix needs the pixels: leave out --headers')
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mask2former'))
    sources = []
    for split in args.splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            raise DataError(f'{args.config} has no {split}_dataloader: choose other --splits.')
        dataset = DATASETS.build(dict(loader.dataset, lazy_init=True, pipeline=[]))
        sources.append(Source.of(split, dataset))

    console = Console()
    start = time.perf_counter()
    report = check_splits(sources, args.headers, args.jobs, lambda entries, name: track(entries, name, console=console))
    print_report(report, console)
    images = sum(len(source.entries) for source in sources)
    console.print(f'{images} images in {time.perf_counter() - start:.1f} s.')
    if args.html:
        write_page(report, args.html, args.num_pictures)
        console.print(f'The page is {args.html}.')
    if args.fix:
        for split in report.splits:
            path, count = write_clean_copy(split, args.fix)
            console.print(f'{path} has {count} of {len(split.source.entries)} images.')
    sys.exit(1 if report.num_errors else 0)


if __name__ == '__main__':
    run_tool(main)
