"""Check and measure the project on a CUDA machine, in about ten minutes: see ``docs/gpu.md``.

python tools/analysis_tools/gpu_check.py --out docs
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
    from benchmarks.gpu_check import driver

    driver.main()


if __name__ == '__main__':
    run_tool(main)
