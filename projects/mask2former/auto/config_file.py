"""Writes the config of a training, to be read and changed by a person: each setting with the reason for it."""

import os
import pprint
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mask2former.checkpoints.zoo import PACKAGE, package_root
from mask2former.formats.files import write_text

from .choices import MODELS, PATIENCE, Choice, Schedule
from .survey import Survey

METRICS = dict(panoptic='PQ', instance='segm_mAP', semantic='mIoU')  # what says which checkpoint is best
_THRESHOLDS = 'score_thr=0.5, overlap_thr=0.5'  # of panoptic segments; the reference's 0.8 are for trainings over weeks


@dataclass(frozen=True)
class Settings:
    """What a config is written of.

    Attributes:
        command: The command that wrote it.
        train: The data set that is trained on, without a pipeline.
        val: The one that is validated on.
        survey: What the data are like.
        model: A key of :data:`~mask2former.auto.choices.MODELS`.
        size: (width, height) that images are scaled into.
        crop: (width, height) of a training step's images.
        queries: Segments that can be found in an image.
        points: Of a mask, that the losses and the matcher look at.
        batch_size: Images of a step.
        lr: Learning rate.
        start: A checkpoint to begin with.
        workers: Processes that load images.
        schedule: None while it is not known: a config with one iteration.
    """

    command: str
    train: dict
    val: dict
    survey: Survey
    model: Choice
    size: Choice
    crop: Choice
    queries: Choice
    points: Choice
    batch_size: Choice
    lr: Choice
    start: str | None
    workers: int
    schedule: Schedule | None = None


def write_config(path: Path, settings: Settings) -> None:
    """Write the config file."""
    write_text(path, config_text(settings, path.parent))


def config_text(settings: Settings, folder: Path) -> str:
    """The config, for a file in ``folder``."""
    form, schedule = settings.survey.form, settings.schedule or Schedule(1, 1, 1, 'to be measured')
    bases = [f'models/{MODELS[settings.model.value][0]}', f'tasks/{form}', 'schedules/adamw_warmup-cosine']  # type: ignore[index]
    most = settings.survey.most_segments
    lines = [
        *(f'# {line}' for line in f'Written by: {settings.command}'.splitlines()),  # a path may have several lines
        f'# The model is {settings.model.value}: {settings.model.reason}.',
        '_base_ = [',
        *(f'    {_base(name, folder)!r},' for name in (*bases, 'default_runtime')),
        ']',
        f'# {settings.size.reason}',
        f'size = {settings.size.value!r}  # width, height',
        f'# {settings.crop.reason}',
        f'crop = {settings.crop.value!r}',
        "jitter = dict(type='LargeScaleJitter', crop_size=crop, scale=size, ratio_range=(0.75, 1.5))",
        "resize = dict(type='Resize', scale=size, keep_ratio=True)",
        *_loader('train', settings.train, 'jitter', settings.workers, settings.batch_size),
        *_loader('test', settings.val, 'resize', settings.workers),
    ]
    if schedule.val_images < settings.survey.num_val:
        lines.append('# The validations in between see a part of the images; the test at the end sees all.')
        lines += _loader('val', dict(settings.val, indices=schedule.val_images), 'resize', settings.workers)
    else:
        lines.append('val_dataloader = test_dataloader')
    lines += _model_lines(form, settings.queries, settings.points, most)
    lines += [
        f'# {schedule.reason}',
        f'train_cfg = dict(max_iters={schedule.max_iters}, val_interval={schedule.val_interval})',
        f'optim_wrapper = dict(optimizer=dict(lr={settings.lr.value}))  # {settings.lr.reason}',
    ]
    warm_up = min(100, max(1, schedule.max_iters // 10))
    if warm_up < 100:
        lines += [
            'param_scheduler = [',
            f"    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end={warm_up}),",
            f"    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin={warm_up}),",
            ']',
        ]
    log_interval = max(1, min(50, schedule.max_iters // 20))
    window = max(2, schedule.max_iters // 20)
    interval = schedule.val_interval
    lines += [
        'default_hooks = dict(',
        f'    logger=dict(interval={log_interval}),',
        '    checkpoint=dict(',
        f"        interval={interval}, max_keep_ckpts=1, save_best='{METRICS[form]}', rule='greater'),",
        '    # The same few images are drawn in every validation: train/*/vis_data/vis_image.',
        f'    visualization=dict(draw=True, interval={max(1, schedule.val_images // 4)}, max_images=4))',
        '# The weights that are tested and saved are running means of those that are trained.',
        'custom_hooks = [',
        f"    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum={1 / window:.2g}, gamma={window}),",
        "    dict(type='EarlyStoppingHook', min_delta=0, rule='greater',"
        f" monitor='{METRICS[form]}', patience={PATIENCE}),",
        "    dict(type='CurveHook'),",
    ]
    if schedule.seconds is not None:
        lines += [
            '    # Of training and validations: their number follows, where iterations take another time than planned.',
            f"    dict(type='TimeLimitHook', seconds={schedule.seconds:.0f}),",
        ]
    lines.append(']')
    if settings.start:
        lines += [f'load_from = {settings.start!r}', 'load_equal_classes = True']
    # mmengine takes `{{ name }}` in a config, even in a text or a comment, for a variable of its own.
    return '\n'.join(lines).replace('{{', r'{\x7b') + '\n'


def _base(name: str, folder: Path) -> str:
    """How a config in ``folder`` names one of this project's: by the package, if it was installed."""
    root = package_root()
    if root == PACKAGE / '.mim':
        return f'mask2former::_base_/{name}.py'
    return os.path.relpath(root / 'configs' / '_base_' / f'{name}.py', folder)


def _loader(
    split: str, data: dict[str, Any], scaling: str, workers: int, batch_size: Choice | None = None
) -> list[str]:
    """A dataloader; of the training there is a ``batch_size``, and images are flipped by chance."""
    flip = "dict(type='RandomFlip', prob=0.5), " if split == 'train' else ''
    base = 'train' if split == 'train' else 'test'
    lines = [f'{split}_dataloader = dict(']
    if batch_size is not None:
        lines.append(f'    batch_size={batch_size.value},  # {batch_size.reason}')
    return [
        *lines,
        f'    num_workers={workers},',
        '    dataset=dict(',
        *(f'        {key}={pprint.pformat(value, compact=True, sort_dicts=False)},' for key, value in data.items()),
        f'        pipeline=[*_base_.{base}_load, {scaling}, {flip}*_base_.{base}_pack]))',
    ]


def _model_lines(form: str, queries: Choice, points: Choice, most: int) -> list[str]:
    """The model's own settings; of instance and semantic data without the postprocessors of the other tasks."""
    others = [task for task in ('panoptic', 'instance', 'semantic') if form != 'panoptic' and task != form]
    parts = [f'{task}=None' for task in others]
    if form == 'panoptic':
        parts.append(f'panoptic=dict({_THRESHOLDS})')
    if form != 'semantic' and most > 100:
        parts.append(f'instance=dict(max_per_image={queries.value})')
    arguments = [f'head=dict(num_queries={queries.value})']
    arguments += [f'postprocessors=dict({", ".join(parts)})'] if parts else []
    arguments += [f'criterion=dict(num_points={points.value}, matcher=dict(num_points={points.value}))']
    lines = [f'# queries: {queries.reason}', f'# points: {points.reason}']
    if form == 'panoptic':
        lines.append(
            '# thresholds: after a short training scores are lower and masks overlap more; 0.8 is for long ones'
        )
    lines.append('model = dict(')
    lines += [*(f'    {argument},' for argument in arguments[:-1]), f'    {arguments[-1]})']
    if form == 'instance' and most > 100:
        lines += [f"val_evaluator = [dict(type='InstanceAP', max_dets=(1, 10, {queries.value}))]"]
        lines += ['test_evaluator = val_evaluator']
    return lines
