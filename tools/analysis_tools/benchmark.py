"""Time training steps or predictions beside mmdet's and transformers' Mask2Former: see ``benchmarks/side_by_side.py``.

python tools/analysis_tools/benchmark.py CONFIG --mode train --size 512 --batch-size 1 --peers mmdet transformers
"""

import sys
from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.errors import MissingFileError

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    if not (ROOT / 'benchmarks').is_dir():
        raise MissingFileError('The benchmarks are not part of the installed package: run this in a clone of its code.')
    sys.path.insert(0, str(ROOT))
    from benchmarks import side_by_side

    side_by_side.main()


if __name__ == '__main__':
    run_tool(main)
