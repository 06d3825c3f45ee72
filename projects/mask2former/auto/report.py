"""Writes what came of a training as one HTML page, with pictures within and nothing from outside."""

import io
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
from mmengine.config import Config

from mask2former.apis import SegInferencer
from mask2former.apis.build import scope_of
from mask2former.formats.bands import in_file_order
from mask2former.formats.files import write_text
from mask2former.formats.html_page import in_base64, render
from mask2former.formats.run_files import read_curve, read_steps
from mask2former.registry import DATASETS

from .evaluate import Evaluation

_PICTURES = 4  # of the best, and of the worst images


def write_report(
    path: Path,
    cfg: Config,
    checkpoint: Path,
    evaluation: Evaluation,
    choices: Iterable[tuple[str, str, str]],
    commands: str,
    work_dir: Path,
    device: str,
) -> None:
    """Write the page.

    Args:
        path: Of the page.
        cfg: The config of the training.
        checkpoint: The best one.
        evaluation: Its test.
        choices: (name, value, reason) of each setting that was chosen.
        commands: How to use the model, for people to copy.
        work_dir: Of the training, with its curves.
        device: To predict on.
    """
    page = render(
        Path(__file__).parent / 'report.html',
        title=f'Training of {path.parent.name}',
        metrics=list(evaluation.metrics.items()),
        images=len(evaluation.scores),
        plot=_plot([(step, row['loss']) for step, row in read_steps(work_dir)], read_curve(work_dir)),
        commands=commands,
        choices=list(choices),
        config=shlex.quote(str(cfg.filename)),
        groups=_draw_groups(cfg, checkpoint, evaluation.scores, device),
    )
    write_text(path, page)


def _plot(losses: Sequence[tuple[int, float]], curve: Sequence[Mapping[str, float]]) -> str:
    """The PNG file, in base64, of the loss and of the first metrics over the iterations; '' if there is nothing."""
    if not losses:
        return ''
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # a second, which this module's other users do not need
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(*zip(*losses), marker='o' if len(losses) < 10 else None)
    left.set(xlabel='iterations', ylabel='loss')
    names = [name for name in ('PQ', 'segm_mAP', 'mIoU') if curve and name in curve[0]]
    for name in names:
        right.plot([point['iter'] for point in curve], [point[name] for point in curve], marker='o', label=name)
    right.set(xlabel='iterations', ylabel='percent')
    if names:
        right.legend()
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    return in_base64(content.getvalue())


def _draw_groups(
    cfg: Config, checkpoint: Path, scores: Sequence[tuple[int, float]], device: str
) -> list[tuple[str, list[tuple[str, float, str]]]]:
    """The best and the worst images, each with (file, score, JPEG file in base64)."""
    inferencer = SegInferencer(cfg, checkpoint, device=device)
    with scope_of(cfg):
        dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, test_mode=True))
    count = min(_PICTURES, len(scores) // 2) or 1
    groups = []
    for heading, rows in (('The worst images', scores[::-1][:count]), ('The best images', scores[:count])):
        pictures = []
        for index, score in rows:
            path = dataset.get_data_info(index)['img_path']
            [sample] = inferencer(path)
            truth = dataset[index]['data_samples']
            for field in ('gt_panoptic_seg', 'gt_segments', 'gt_instances', 'gt_sem_seg'):
                if field in truth:
                    sample.set_field(getattr(truth, field), field)
            image = in_file_order(inferencer.read_image(path))
            drawn = inferencer.visualizer.draw_datasample(image, sample, pred_score_thr=inferencer.score_thr)
            data = cv2.imencode('.jpg', drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
            pictures.append((Path(path).name, score, in_base64(data)))
        groups.append((heading, pictures))
    return groups
