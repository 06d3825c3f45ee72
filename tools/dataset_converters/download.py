"""Download and unpack official data sets into the layout of docs/datasets.md.

A download that was cut off resumes where it stopped; run the same command again. Files are compared with the checksums
that are published. Where none is, the archive is tested, and DOWNLOADS/NAME.sha256 records what came for later runs.

Writes OUT/coco, OUT/ade and so on; archives come to OUT/downloads and are deleted when they are unpacked.

  python tools/dataset_converters/download.py --list
  python tools/dataset_converters/download.py coco --out data
  python tools/dataset_converters/download.py coco --only val-images panoptic
"""

import argparse
from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.download.prepare import list_releases, prepare
from mask2former.data_tools.download.releases import BY_HAND, RELEASES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join([*RELEASES, *BY_HAND]))
    parser.add_argument('--out', type=Path, default=Path('data'), help='folder of all data sets (default: %(default)s)')
    parser.add_argument('--only', nargs='+', metavar='PART', help='parts of the data set; --list says which there are')
    parser.add_argument('--keep-archives', action='store_true', help='do not delete the archives')
    parser.add_argument('--list', action='store_true', help='say what there is, and download nothing')
    args = parser.parse_args()
    if args.list:
        print(list_releases())
        return
    if not args.names:
        parser.error('name a data set; --list says which there are')
    for name in args.names:
        print(prepare(name, args.out, only=args.only, keep_archives=args.keep_archives))


if __name__ == '__main__':
    run_tool(main)
