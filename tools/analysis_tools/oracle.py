"""Measure what results can be at most: python tools/analysis_tools/oracle.py CONFIG [--split test] [--json F]

The truth goes through the config's postprocessors and metrics, as a model without a fault would give it: with each
limit of the config alone, and with all of them.
"""

import json

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mask2former.apis.cli import config_parser, run_tool
from mask2former.data_tools.arguments import positive
from mask2former.formats.files import check_output, write_text


def main() -> None:
    parser = config_parser('Measure what the results of a config can reach at most.')
    parser.add_argument('--split', choices=['val', 'test'], default='val', help='which data and metrics')
    parser.add_argument('--images', type=positive, help='only so many of the first images')
    parser.add_argument('--jobs', type=positive, default=1, help='processes that read images')
    parser.add_argument('--json', metavar='F.json', help='write all the values to this file')
    args = parser.parse_args()
    if args.json:
        check_output(args.json)
    from mask2former.apis.run_config import load_config
    from mask2former.limits.ceilings import find_ceilings

    cfg = load_config(args)
    console = Console()
    found = find_ceilings(
        cfg, args.split, args.images, args.jobs, lambda samples, text: track(samples, text, console=console)
    )
    for metric, by_limits in found.items():
        keys = list(next(iter(by_limits.values())))
        table = Table('at most', *by_limits, title=metric, title_justify='left')
        for key in keys:
            table.add_row(key, *(_text(values[key]) for values in by_limits.values()))
        console.print(table)
    if args.json:
        write_text(args.json, json.dumps(found, indent=2) + '\n')
        console.print(f'All values are in {args.json}.')


def _text(value: float) -> str:
    """A value in percent for the table; -1 is AP's for no object of its kind."""
    return '-' if value < 0 else f'{value:.1f}'


if __name__ == '__main__':
    run_tool(main)
