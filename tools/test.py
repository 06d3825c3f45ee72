"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [--tta] [--tile N] [--out F] [--show-dir D] ...

The metrics are written to test_metrics.json in the work directory, which of a run of `mask2former train` is its folder
test; with --tta to test_metrics_tta.json, in tiles to test_metrics_tiles.json, with both to
test_metrics_tta_tiles.json, in mixed precision to test_metrics_bfloat16.json and the like; tested.json says of which
checkpoint they are, and of how many images.
"""

import argparse
import json
from datetime import datetime
from pathlib import Path

from mask2former.apis.cli import (
    add_amp_arguments,
    add_json_argument,
    add_tile_arguments,
    amp_dtype,
    run_parser,
    run_tool,
    words_aside,
)
from mask2former.formats.files import check_output, write_text


def main() -> None:
    parser = run_parser('Test a checkpoint.')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint of any format, address, or name of a published model; default: the best one, where the config '
        'is the folder of a training',
    )
    parser.add_argument('--out', metavar='F.pkl', help='write all predictions to this pickle file')
    parser.add_argument('--show-dir', metavar='D', help='write a picture of each result to this folder')
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation: tta_pipeline of the config, else flips, and scales'
    )
    add_tile_arguments(parser)
    add_amp_arguments(parser, 'results are made of its outputs')
    add_json_argument(parser)
    args = parser.parse_args()
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f"--out must name a .pkl file, not '{args.out}'")
    if args.checkpoint is None:
        if not Path(args.config).is_dir():
            parser.error('give a checkpoint, too: only the folder of a training has one of its own')
        from mask2former.predictions.loading import locate_run

        if args.work_dir is None and (Path(args.config) / 'train').is_dir():
            args.work_dir = str(Path(args.config) / 'test')  # beside the training, whose config stays
        args.config, args.checkpoint = map(str, locate_run(args.config))
    with words_aside(args.json):
        metrics, path = test(args)
    if args.json and path is not None:
        print(json.dumps(dict(metrics=metrics, file=str(path))))


def test(args: argparse.Namespace) -> tuple[dict[str, float], Path | None]:
    """Test as the command line says; returns the metrics, and their file, which the first process writes."""
    from mask2former.apis.precision import use_precision
    from mask2former.apis.run_config import build_runner, load_run_config
    from mask2former.apis.tiles import use_tiles
    from mask2former.apis.tta import use_tta
    from mask2former.checkpoints.fetch import locate
    from mask2former.evaluation import DumpSegResults
    from mask2former.evaluation.tables import comparison_table

    for place, is_folder in ((args.out, False), (args.show_dir, True)):
        if place is not None:
            check_output(place, is_folder)
    address = locate(args.checkpoint)  # before anything is built
    cfg = load_run_config(args)
    cfg.load_from, cfg.resume = args.checkpoint, False  # of a resumed training the config says that it resumes
    if args.show_dir is not None:
        cfg.default_hooks.visualization.update(draw=True, out_dir=args.show_dir)
    if args.tta:
        use_tta(cfg)
    in_tiles = use_tiles(cfg, args.tile, args.overlap)
    use_precision(cfg, amp_dtype(args))

    runner = build_runner(cfg)
    if args.out is not None:
        runner.test_evaluator.metrics.append(DumpSegResults(out_file_path=args.out))
    metrics = {key: float(value) for key, value in runner.test().items()}
    path = None
    if runner.rank == 0:
        suffix, how = args.tta * '_tta' + in_tiles * '_tiles', 'in tiles' if in_tiles else '--tta'
        if (dtype := amp_dtype(args)) is not None:
            suffix, how = f'{suffix}_{dtype}', dtype
        plain = Path(runner.work_dir) / 'test_metrics.json'
        path = plain.with_name(f'test_metrics{suffix}.json')
        augmented = path if suffix else plain.with_name('test_metrics_tta.json')
        other = plain if suffix else augmented
        write_text(path, json.dumps(metrics, indent=2) + '\n')
        tested = note_test(path, checkpoint=identify(address), images=len(runner.test_dataloader.dataset))
        if other.is_file() and tested.get(other.name) == tested[path.name]:
            results = {'plain': json.loads(plain.read_text()), how: json.loads(augmented.read_text())}
            written = datetime.fromtimestamp(other.stat().st_mtime)
            print(f'In percent, beside {other.name} of {written:%Y-%m-%d %H:%M}\n{comparison_table(results)}')
        elif other.is_file():
            print(f'{other.name} is not of this checkpoint and these images: no comparison.')
        print(f'Metrics are in {path}' + (f', pictures in {args.show_dir}' if args.show_dir else '') + '.')
    return metrics, path


def identify(address: str) -> str:
    """Where a checkpoint is and, of a local one, when it was written: a file of the same name may be another."""
    if '://' in address:
        return address
    written = datetime.fromtimestamp(Path(address).stat().st_mtime)
    return f'{Path(address).resolve()} of {written:%Y-%m-%d %H:%M:%S}'


def note_test(path: Path, **what: str | int) -> dict[str, dict]:
    """Note in tested.json, beside a file of metrics, what they are of; returns this of all files there."""
    notes = path.with_name('tested.json')
    try:
        before = json.loads(notes.read_text())
    except (FileNotFoundError, ValueError):  # absent, or damaged
        before = {}
    tested = {**before, path.name: what}
    write_text(notes, json.dumps(tested, indent=2) + '\n')
    return tested


if __name__ == '__main__':
    run_tool(main)
