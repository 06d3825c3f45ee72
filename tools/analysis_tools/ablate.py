"""Train the variants of a study with several seeds, and say what each is worth.

python tools/analysis_tools/ablate.py configs/studies/shapes.json   # train what is not there yet, then report
python tools/analysis_tools/ablate.py RESULTS.json --report         # report from results only

Runs go one after another into work_dirs/studies/NAME/VARIANT/seed_N. Start the tool again after an interruption:
finished runs are kept, an unfinished one goes on after its last checkpoint; runs of other settings are refused. Results
are in results.json there, curves in results.svg; the tables are printed in Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import run_tool
from mask2former.errors import MissingFileError, UserError
from mask2former.formats.files import write_text

if TYPE_CHECKING:
    from mask2former.analysis.study import Run, Study

TRAIN = Path(__file__).resolve().parents[1] / 'train.py'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('study', help='a study, such as configs/studies/shapes.json; with --report, its results.json')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/studies/NAME')
    parser.add_argument('--variants', nargs='+', metavar='NAME', help='train these only')
    parser.add_argument('--report', action='store_true', help='train nothing: tables and curves of existing results')
    args = parser.parse_args()
    if args.report:
        if args.work_dir or args.variants:
            parser.error('--report takes a results.json alone.')
        path = Path(args.study)
        if not path.is_file():
            raise MissingFileError(f"There is no '{path}': give the results.json of a study that was trained.")
    from mask2former.analysis.curves import make_report, read_results
    from mask2former.analysis.plots import plot_curves
    from mask2former.analysis.study import read_study

    if not args.report:
        study = read_study(args.study)
        path = train_study(study, args.work_dir or Path('work_dirs/studies') / study.name, args.variants)
    results = read_results(path)
    plot_curves(results, path.with_suffix('.svg'))
    print(make_report(results))
    print(f'Curves are in {path.with_suffix(".svg")}.')


def train_study(study: Study, work_dir: Path, variants: list[str] | None) -> Path:
    """Train what is not finished, and write the results after each run; returns their path."""
    from mask2former.analysis.curves import collect

    path = work_dir / 'results.json'
    runs = study.runs(variants)
    for run in runs:  # a misspelt option of the last is told before the first is trained
        study.make_config(run, work_dir / run.folder)
    study.check_runs(work_dir)
    for number, run in enumerate(runs, 1):
        print(f'Run {number} of {len(runs)}: {run.variant.name}, seed {run.seed}', flush=True)
        train(study, run, work_dir / run.folder)
        write_text(path, json.dumps(collect(study, work_dir), indent=1) + '\n')
    return path


def train(study: Study, run: Run, folder: Path) -> None:
    """Train one run in a process of its own, unless it is finished.

    Raises:
        UserError: If the training failed; what it said is in the terminal.
    """
    from mask2former.analysis.study import SETTINGS
    from mask2former.formats.run_files import read_curve

    cfg = study.make_config(run, folder)
    curve = read_curve(folder)
    if curve and curve[-1]['iter'] == cfg.train_cfg.max_iters:
        print('It is finished.')
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / 'config.py'
    cfg.dump(config)
    cfg.dump(folder / SETTINGS)
    code = subprocess.run([sys.executable, str(TRAIN), str(config), '--resume', 'auto']).returncode
    if code:
        raise UserError(f'The training in {folder} ended with an error (above): mend its cause and start this again.')


if __name__ == '__main__':
    run_tool(main)
