"""Find the thresholds of panoptic fusion that suit a trained model.

python tools/analysis_tools/tune_panoptic.py CONFIG CHECKPOINT [--split train] [--images 50] [--json F.json]

The config's thresholds and others are tried on images with annotations; the model runs once on each. By default these
are training images, so that a validation stays one.
"""

import argparse
import json

from rich.console import Console
from rich.table import Table

from mask2former.apis.cli import config_parser, run_tool
from mask2former.data_tools.arguments import positive
from mask2former.formats.files import check_output, write_text


def main() -> None:
    parser = config_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('checkpoint', help='weights of the model')
    parser.add_argument('--split', choices=['train', 'test'], default='train', help='whose images (default: train)')
    parser.add_argument('--images', type=positive, default=50, help='from all over the split (default: 50)')
    thresholds = dict(type=share, nargs='+', metavar='T')
    parser.add_argument(
        '--score-thr', **thresholds, default=[0.3, 0.5, 0.8], help='class scores (default: %(default)s)'
    )
    parser.add_argument(
        '--overlap-thr',
        **thresholds,
        default=[0.4, 0.5, 0.6, 0.7, 0.8],
        help='shares of its mask that a segment must keep (default: %(default)s)',
    )
    parser.add_argument('--json', metavar='F.json', help='write PQ and its parts to this file')
    args = parser.parse_args()
    if args.json:
        check_output(args.json)

    from mask2former.analysis.panoptic_thresholds import best_trial, fusion_of, try_thresholds
    from mask2former.apis import init_model
    from mask2former.apis.evaluation_parts import build_test_dataset, build_train_dataset_as_tested
    from mask2former.apis.run_config import load_config

    cfg = load_config(args)
    model = init_model(cfg, args.checkpoint)
    own = fusion_of(model)
    scores, overlaps = sorted({*args.score_thr, own.score_thr}), sorted({*args.overlap_thr, own.overlap_thr})
    dataset = build_train_dataset_as_tested(cfg) if args.split == 'train' else build_test_dataset(cfg)
    trials = try_thresholds(model, dataset, scores, overlaps, args.images)

    table = Table('PQ', *(f'overlap_thr {overlap:g}' for overlap in overlaps))
    found = {(trial.score_thr, trial.overlap_thr): trial.quality['PQ'] for trial in trials}
    for score in scores:
        table.add_row(f'score_thr {score:g}', *(f'{found[score, overlap]:.1f}' for overlap in overlaps))
    console = Console()
    console.print(table)
    best, key = best_trial(trials), 'model.postprocessors.panoptic'
    print(f'The config has {own.score_thr:g} and {own.overlap_thr:g}: PQ {found[own.score_thr, own.overlap_thr]:.1f}.')
    print(
        f'The best: PQ {best.quality["PQ"]:.1f} by --cfg-options '
        f'{key}.score_thr={best.score_thr:g} {key}.overlap_thr={best.overlap_thr:g}'
    )
    if args.json:
        rows = [dict(score_thr=trial.score_thr, overlap_thr=trial.overlap_thr, **trial.quality) for trial in trials]
        write_text(args.json, json.dumps(rows, indent=1) + '\n')


def share(text: str) -> float:
    """A number from 0 to 1 of the command line."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


if __name__ == '__main__':
    run_tool(main)
