"""Look for faults in the data of a config: python tools/misc/check_dataset.py CONFIG [--html F] [--fix D]

Ends with the exit code 1 where there are errors. --headers reads no pixel: for a first look at a large data set.
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from mask2former.apis.cli import add_json_argument, config_parser, run_tool
from mask2former.data_tools.arguments import positive
from mask2former.formats.files import check_output


def main() -> None:
    parser = config_parser('Look for faults in the data of a config.')
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=['train', 'val', 'test'],
        default=['train', 'val'],
        help='which to check; the first is compared with the others',
    )
    parser.add_argument('--headers', action='store_true', help='check JSON files and headers of files only: fast')
    parser.add_argument('--jobs', type=positive, default=os.cpu_count(), help='threads')
    parser.add_argument('--html', metavar='F.html', help='write the report with pictures to this file')
    parser.add_argument('--num-pictures', type=positive, default=20, help='pictures of each split in that file')
    parser.add_argument(
        '--fix',
        metavar='D',
        help='write clean annotations to a folder for each split below this one; the images stay where they are',
    )
    add_json_argument(parser)
    args = parser.parse_args()
    if args.fix and args.headers:
        parser.error('--fix needs the pixels: leave out --headers')
    for path, is_folder in ((args.html, False), (args.fix, True)):
        if path:
            check_output(path, is_folder)
    from mmengine.registry import init_default_scope

    from mask2former.apis.run_config import load_config
    from mask2former.data_tools.check import KINDS, check_splits, read_splits, write_clean_copy
    from mask2former.data_tools.check.html import write_html
    from mask2former.data_tools.check.kinds import printable
    from mask2former.data_tools.check.statistics import problems_by_kind
    from mask2former.data_tools.check.terminal import print_report

    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mask2former'))
    sources = [source for split in args.splits for source in read_splits(cfg, split)]

    console = Console(stderr=args.json)
    start = time.perf_counter()
    report = check_splits(sources, args.headers, args.jobs, lambda entries, name: track(entries, name, console=console))
    counts: Counter = Counter()  # of images, or of videos and frames
    for source in sources:
        if source.num_videos is not None:
            counts['videos'] += source.num_videos
        counts[f'{source.unit}s'] += len(source.entries)
    seconds = time.perf_counter() - start
    print_report(report, console)
    console.print(f'{", ".join(f"{count} {name}" for name, count in counts.items())} in {seconds:.1f} s.')
    if args.html:
        write_html(report, args.html, args.num_pictures)
        console.print(f'The page is {escape(args.html)}.')
    if args.fix:
        for split in report.splits:
            name, total, units = split.source.name, len(split.source.entries), f'{split.source.unit}s'
            settings, count = write_clean_copy(split, Path(args.fix) / name)
            used = ' '.join(f'{split.source.settings.key}.{key}={value}' for key, value in settings.items())
            console.print(
                escape(
                    printable(f'The clean copy of {name} has {count} of {total} {units}. Use it: --cfg-options {used}')
                ),
                soft_wrap=True,
            )
            left = sorted({problem.kind for problem in split.problems if KINDS[problem.kind].by_hand})
            if left:
                console.print(f'Still to be fixed by hand in {name}: {", ".join(left)}.')
    if args.json:
        problems = [
            dict(split=split.source.name, kind=row.kind, count=row.total, error=row.is_error, examples=row.examples)
            for split in report.splits
            for row in problems_by_kind(split, 3)
        ]
        print(json.dumps(dict(counts, errors=report.num_errors, problems=problems)))
    sys.exit(1 if report.num_errors else 0)


if __name__ == '__main__':
    run_tool(main)
