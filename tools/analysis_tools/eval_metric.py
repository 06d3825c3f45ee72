"""Evaluate results that tools/test.py --out wrote: python tools/analysis_tools/eval_metric.py CONFIG RESULTS.pkl

With --submission it writes the file for the test server of COCO, Cityscapes or YouTube-VIS instead of evaluating:

    python tools/test.py CONFIG CHECKPOINT --out all.pkl --cfg-options test_evaluator=[] \\
        test_dataloader.dataset.ann_file=... test_dataloader.dataset.data_prefix.img=...
    python tools/analysis_tools/eval_metric.py CONFIG all.pkl --submission instance --submission-format cityscapes
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mask2former.apis.cli import config_parser, run_tool
from mask2former.errors import DataError
from mask2former.formats.files import check_output, write_text


def main() -> None:
    parser = config_parser('Evaluate results of tools/test.py --out.')
    parser.add_argument('results', help='file of tools/test.py --out')
    parser.add_argument('--out', metavar='F.json', help='write the metrics to this file')
    parser.add_argument(
        '--submission',
        choices=['panoptic', 'instance', 'semantic'],
        help='write the file for a test server; needs no annotations, evaluates nothing',
    )
    parser.add_argument(
        '--submission-format',
        choices=['coco', 'cityscapes', 'youtube-vis'],
        default='coco',
        help="whose test server, default: %(default)s; 'semantic' is Cityscapes' only",
    )
    parser.add_argument('--submission-dir', metavar='D', default='submission', help='folder of that file')
    parser.add_argument('--submission-name', metavar='N', default='mask2former', help='name in that file')
    args = parser.parse_args()
    if args.submission == 'semantic' and args.submission_format == 'coco':
        parser.error('COCO takes no semantic results: give --submission-format cityscapes.')
    if args.submission in ('semantic', 'panoptic') and args.submission_format == 'youtube-vis':
        parser.error('YouTube-VIS takes tracks of instances: give --submission instance.')
    if args.submission:
        check_output(args.submission_dir, is_folder=True)
    elif args.out is not None:
        check_output(args.out)
    from mmengine.evaluator import Evaluator
    from mmengine.registry import init_default_scope

    from mask2former.apis.run_config import load_config
    from mask2former.datasets import dataset_metainfo
    from mask2former.evaluation import show_dataset
    from mask2former.evaluation.cityscapes_submission import write_cityscapes_submission
    from mask2former.evaluation.coco_submission import write_coco_submission
    from mask2former.evaluation.results_file import as_sample, read_results
    from mask2former.evaluation.youtube_vis_submission import write_youtube_vis_submission
    from mask2former.registry import DATASETS

    results = read_results(args.results)
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mask2former'))
    if args.submission:
        metainfo = dataset_metainfo(cfg.test_dataloader.dataset)
        check_labels(results, len(metainfo['classes']), args)
        target = args.submission, args.submission_dir, args.submission_name
        if args.submission_format == 'cityscapes':
            print(write_cityscapes_submission(results, metainfo, *target))
        elif args.submission_format == 'youtube-vis':
            print(write_youtube_vis_submission(results, metainfo['category_ids'], *target[1:]))
        else:
            print(write_coco_submission(results, metainfo['category_ids'], *target))
        return

    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    check_labels(results, len(dataset.metainfo['classes']), args)
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    key, what = ('video_id', 'videos') if getattr(dataset, 'form', None) == 'video' else ('img_id', 'images')
    index_of_id = {item[key]: index for index, item in enumerate(items)}
    unknown = [result.get(key) for result in results if result.get(key) not in index_of_id]
    if unknown or len(results) != len(index_of_id):
        raise DataError(
            f"'{args.results}' has {len(results)} results, {len(unknown)} of them of {what} that the test "
            f'set of {args.config}, which has {len(index_of_id)}, lacks: give the config of the test.'
        )
    if what == 'images':
        check_images(results, {item['img_id']: Path(item['img_path']) for item in items}, args)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    show_dataset(evaluator.metrics, dataset)
    for result in results:
        predicted = as_sample(result)
        # Of an image with its ground truth; that of videos is in a file.
        sample = predicted if what == 'videos' else dataset[index_of_id[result['img_id']]]['data_samples']
        for field in ('pred_instances', 'pred_panoptic_seg', 'pred_sem_seg'):
            if field in predicted:
                sample.set_data({field: predicted.get(field)})
        evaluator.process(data_samples=[sample])
    metrics = {key: float(value) for key, value in evaluator.evaluate(len(results)).items()}
    text = json.dumps(metrics, indent=2)
    print(text)
    if args.out is not None:
        write_text(args.out, text + '\n')


def check_labels(results: list[dict], num_classes: int, args: argparse.Namespace) -> None:
    """See that the results are of so many classes at most."""
    from mask2former.evaluation.results_check import labels_of

    most = max((label for result in results for label in labels_of(result)), default=0)
    if most >= num_classes:
        raise DataError(
            f"'{args.results}' has results of class number {most + 1}, but the test set of {args.config} has "
            f'{num_classes}: give the config of the test.'
        )


def check_images(results: list[dict], paths: dict[Any, Path], args: argparse.Namespace) -> None:
    """See that the results are of the test set's images: other data sets have the same ids."""
    moved = None
    for result in results:
        predicted, expected = Path(str(result.get('img_path'))), paths[result['img_id']]
        if predicted.name != expected.name:
            raise DataError(
                f"'{args.results}' has results of '{predicted}', the test set of {args.config} has '{expected}' under "
                'that id: give the config of the test.'
            )
        if predicted.resolve() != expected.resolve():
            moved = moved or (predicted, expected)
    if moved:
        print(
            f"Warning: the results are of '{moved[0]}', taken for '{moved[1]}': is that the same image?",
            file=sys.stderr,
        )


if __name__ == '__main__':
    run_tool(main)
