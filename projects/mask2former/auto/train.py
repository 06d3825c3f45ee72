"""From annotated images to a trained model: everything is chosen, each choice is said, and the config is written."""

import itertools
import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from mask2former.apis.build import find_device, init_model
from mask2former.apis.run_config import build_runner
from mask2former.checkpoints.named_models import model_of
from mask2former.data_tools.check import Report
from mask2former.errors import ConfigError, DataError, MissingFileError
from mask2former.formats.files import check_output
from mask2former.predictions.hf_folder import is_hf_folder
from mask2former.predictions.loading import best_checkpoint, locate_run

from .checked_data import check
from .choices import (
    Choice,
    Machine,
    Schedule,
    choose_crop,
    choose_lr,
    choose_model,
    choose_points,
    choose_queries,
    choose_schedule,
    choose_size,
)
from .config_file import Settings, write_config
from .data import Prepared, prepare, recognise
from .evaluate import Evaluation, evaluate
from .probe import probe
from .report import write_report
from .survey import survey
from .thresholds import choose_overlap

_MOST_SECONDS, _MOST_EPOCHS = 366 * 24 * 3600, 1_000_000
_SIDES = 32, 16384  # pixels of the longest side
_CHOSEN = ('model', 'size', 'crop', 'queries', 'points')
_MEASURED = ('batch_size', 'lr', 'iterations', 'validation')
_GPU_BATCHES = (16, 8, 4, 2, 1)
_CPU_BATCHES = (2, 1)  # in the same time two steps of 2 images teach more than one of 4 (docs/one_command.md)


@dataclass(frozen=True)
class Options:
    """What a person may ask for; None leaves it to the choices.

    Attributes:
        task: 'auto', 'panoptic', 'instance' or 'semantic'.
        model: A key of :data:`~mask2former.auto.choices.MODELS`.
        start: A checkpoint, the folder of a training or of transformers, or a published model, to begin with.
        seconds: How long all of it may take.
        epochs: How often each image is seen, instead.
        size: Longest side that images are scaled to, in pixels.
        device: 'cpu' or 'cuda'.
        seed: Of the split and of the training.
    """

    task: str = 'auto'
    model: str | None = None
    start: str | None = None
    seconds: float | None = None
    epochs: float | None = None
    size: int | None = None
    device: str | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise a ``ConfigError`` if one of them cannot be, which shall be said before any work."""
        if self.seconds is not None and self.epochs is not None:
            raise ConfigError('Give a time or epochs, not both.')
        for name, value, most, unit in (
            ('time', self.seconds, _MOST_SECONDS, ' seconds'),
            ('number of epochs', self.epochs, _MOST_EPOCHS, ''),
        ):
            if value is not None and not 0 < value <= most:  # NaN is neither
                raise ConfigError(f'The {name} must be more than 0 and at most {most}{unit}, not {value:g}.')
        for name, number, (least, highest) in (('size', self.size, _SIDES), ('seed', self.seed, (0, 2**32 - 1))):
            if number is not None and not least <= number <= highest:
                raise ConfigError(f'The {name} must be in {least} .. {highest}, not {number}.')
        find_device(self.device)


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: With everything in it.
        config: The config that was written.
        checkpoint: The best one.
        report: The page.
        evaluation: The test of the best checkpoint.
    """

    folder: Path
    config: Path
    checkpoint: Path
    report: Path
    evaluation: Evaluation


def train(
    data: str | os.PathLike,
    out: str | os.PathLike | None = None,
    options: Options = Options(),
    say: Callable[[str], None] = print,
) -> Run:
    """Train on a folder or file of annotated images.

    Args:
        data: Of any kind that :func:`~mask2former.auto.data.recognise` knows.
        out: Gets the data set (``data/``), ``config.py``, the training (``train/``) and ``report.html``; by default
            ``runs/<name of the data>``, with a number if that has a training.
        options: What is asked for.
        say: Gets the lines for people.

    Raises:
        DataError: If the data are not understood, or have faults that nobody but a person can mend.
        ConfigError: If an option cannot be, the time is too short, or ``out`` has a training already.
    """
    begin = time.monotonic()
    options.check()
    out = _free_folder(Path('runs') / Path(data).resolve().stem) if not out else Path(out)
    if _is_trained(out):
        raise ConfigError(f"'{out}' has a training: give another folder as --out, or go on with `{_resuming(out)}`.")
    check_output(out, is_folder=True)
    if options.start is not None and Path(options.start).is_dir() and not is_hf_folder(Path(options.start)):
        options = replace(options, start=str(locate_run(options.start)[1]))
    start = None if options.start is None else model_of(options.start)  # before the work on data, which takes longer
    machine = Machine(options.device or get_device(), os.cpu_count() or 1)
    if (Path(data) / 'config.py').is_file() and _is_trained(Path(data)):
        raise ConfigError(
            f"'{data}' is the folder of a training, not of images: go on with it by `{_resuming(Path(data))}`, or give "
            'its config.py to train anew.'
        )
    found = recognise(Path(data))
    for part in ('data', 'train'):
        if found.root.resolve() in ((out / part).resolve(), *(out / part).resolve().parents):
            raise DataError(
                f"The folder to write, '{out / part}', lies in '{found.root}', which is read; choose another."
            )
    prepared = prepare(found, out / 'data', task=options.task, seed=options.seed, jobs=machine.cores)
    for line in prepared.says:
        say(line)
    prepared, report = check(prepared, out, say, machine)
    settings = _choose(prepared, report, options, start, machine, _command(data, out, options))
    config = out / 'config.py'
    for name, choice in _rows(settings, _CHOSEN):
        say(_line(name, choice))
    say('A few steps are tried, to see what fits into the memory and how long they take.')
    settings = _measured(config, settings, options, machine, begin)
    for name, choice in _rows(settings, _MEASURED):
        say(_line(name, choice))
    write_config(config, settings)
    say(f'All of it is in {config}.')
    rows = [(name, str(choice.value), choice.reason) for name, choice in _rows(settings, (*_CHOSEN, *_MEASURED))]
    return _run(out, options.seed, machine, rows, say)


def resume(out: str | os.PathLike, device: str | None = None, say: Callable[[str], None] = print) -> Run:
    """Go on with an interrupted training of :func:`train`, test it, and write the report.

    Args:
        out: Its folder.
        device: 'cpu' or 'cuda'.
        say: Gets the lines for people.

    Raises:
        MissingFileError: If there is nothing to go on with.
    """
    out = Path(out)
    if not (out / 'config.py').is_file() or not _is_trained(out):
        raise MissingFileError(
            f"'{out}' has no training to go on with: give the folder of one, or begin with `mask2former train DATA`."
        )
    find_device(device)
    former = out / 'train' / 'config.py'  # as the training had it, seed and all
    seed = Config.fromfile(former).get('randomness', {}).get('seed') if former.is_file() else None
    return _run(out, seed, Machine(device or get_device(), os.cpu_count() or 1), (), say, resumes=True)


def _run(
    out: Path,
    seed: int | None,
    machine: Machine,
    rows: Sequence[tuple[str, str, str]],
    say: Callable[[str], None],
    resumes: bool = False,
) -> Run:
    """Train by the config in the folder, test the best checkpoint, and write the report; ``rows`` are the choices."""
    config, trained = out / 'config.py', out / 'train' / 'config.py'
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.launcher, cfg.resume = str(out / 'train'), 'none', resumes
    if resumes:
        cfg.load_from = None  # what it began with is not what it goes on with
    cfg.randomness = dict(seed=seed)
    cfg.visualizer.name = cfg.experiment_name = f'{out.name}_{uuid.uuid4().hex}'  # mmengine keeps both by name
    runner = build_runner(cfg)
    try:
        runner.train()
    except SystemExit:  # a signal came, and what is trained is saved
        say(f'Go on with: {_resuming(out)}')
        raise
    if runner.iter != cfg.train_cfg.max_iters:
        rows = [*rows, ('trained', str(runner.iter), 'iterations, until the time was over or validations became worse')]
    checkpoint = best_checkpoint(out / 'train')
    model = init_model(Config.fromfile(config), checkpoint, machine.device)
    if cfg.model.postprocessors.get('panoptic'):
        overlap = choose_overlap([config, trained], model)
        say(_line('overlap', overlap))
        rows = [*rows, ('overlap', str(overlap.value), overlap.reason)]
    evaluation = evaluate(Config.fromfile(config), model)
    page = out / 'report.html'
    commands = f'mask2former predict IMAGES {shlex.quote(str(out))}'
    write_report(page, Config.fromfile(config), checkpoint, evaluation, rows, commands, out / 'train', machine.device)
    return Run(out, config, checkpoint, page, evaluation)


def _is_trained(out: Path) -> bool:
    return any((out / 'train').glob('*.pth'))


def _free_folder(out: Path) -> Path:
    """The folder, or the first one with a number behind its name that has no training."""
    numbered = (out.with_name(f'{out.name}_{number}') for number in itertools.count(2))
    return next(folder for folder in itertools.chain([out], numbered) if not _is_trained(folder))


def _resuming(out: Path) -> str:
    """The command that goes on with a training."""
    return shlex.join(['mask2former', 'train', str(out), '--resume'])


def _choose(
    prepared: Prepared, report: Report, options: Options, start: str | None, machine: Machine, command: str
) -> Settings:
    numbers = survey(report)
    model = choose_model(options.model, machine, start)
    size = choose_size(numbers, machine)
    if options.size is not None:
        factor = options.size / max(numbers.image_size)
        width, height = (max(1, round(side * factor)) for side in numbers.image_size)
        size = Choice((width, height), 'as asked for')
    crop = choose_crop(size.value, machine)  # type: ignore[arg-type]
    batches = _GPU_BATCHES if machine.has_gpu else _CPU_BATCHES
    return Settings(
        command=command,
        train=prepared.train,
        val=prepared.val,
        survey=numbers,
        model=model,
        size=size,
        crop=crop,
        queries=choose_queries(numbers),
        points=choose_points(crop.value),  # type: ignore[arg-type]
        batch_size=Choice(batches[0], 'to be measured'),
        lr=choose_lr(model.value, batches[0], options.start is not None),  # type: ignore[arg-type]
        start=os.path.abspath(options.start) if options.start and Path(options.start).exists() else options.start,
        workers=min(4, max(1, machine.cores - 1)),
    )


def _measured(config: Path, settings: Settings, options: Options, machine: Machine, begin: float) -> Settings:
    """The settings with what a probe says: batch size, learning rate and schedule."""
    write_config(config, settings)
    most = _GPU_BATCHES if machine.has_gpu else _CPU_BATCHES
    fitting = [size for size in most if size <= max(1, settings.survey.num_train)]
    costs = probe(Config.fromfile(config), fitting, machine)
    batch = Choice(costs.batch_size, 'the memory holds it' if machine.has_gpu else 'more steps in the same time')
    seconds = options.seconds
    if seconds is None and options.epochs is None:
        seconds = 1800.0
    left = None if seconds is None else seconds - (time.monotonic() - begin)
    schedule: Schedule = choose_schedule(settings.survey, costs, left, options.epochs)
    lr = choose_lr(settings.model.value, costs.batch_size, options.start is not None)  # type: ignore[arg-type]
    return replace(settings, batch_size=batch, lr=lr, schedule=schedule)


def _line(name: str, choice: Choice) -> str:
    """A choice as the terminal shows it."""
    return f'{name:<10} {choice.value!s:<12} {choice.reason}'


def _rows(settings: Settings, names: Iterable[str]) -> Iterator[tuple[str, Choice]]:
    """The choices of these names, as people read them."""
    schedule, images = settings.schedule, settings.survey.num_val
    for name in names:
        if name == 'iterations' and schedule is not None:
            yield name, Choice(schedule.max_iters, schedule.reason)
        elif name == 'validation' and schedule is not None:
            seen = f'sees {schedule.val_images} of the {images} images, to be quick; the test at the end sees all'
            if schedule.val_images == images:
                seen = 'sees all images'
            yield name, Choice(f'every {schedule.val_interval}', seen)
        else:
            yield name.replace('_size', ''), getattr(settings, name)


def _command(data: str | os.PathLike, out: Path, options: Options) -> str:
    """The command line that does the same."""
    words = ['mask2former', 'train', os.fspath(data), '--out', str(out)]
    for flag, value in (
        ('task', options.task),
        ('model', options.model),
        ('from', options.start),
        ('size', options.size),
    ):
        if value not in (None, 'auto'):
            words += [f'--{flag}', str(value)]
    if options.seconds is not None:
        words += ['--time', f'{options.seconds:g}s']
    if options.epochs is not None:
        words += ['--epochs', f'{options.epochs:g}']
    return shlex.join(words)
