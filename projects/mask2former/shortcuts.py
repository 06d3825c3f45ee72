"""What most people need, in three functions: ``from mask2former import load, predict, train``."""

import os
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence

from mask2former.apis.inferencer import ImageInput
from mask2former.auto.train import Options, Run
from mask2former.auto.train import train as _train
from mask2former.auto.train_command import parse_time
from mask2former.errors import ConfigError
from mask2former.predictions import Prediction, load

__all__ = ['load', 'predict', 'train']


def train(
    data: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    time: str | None = None,
    epochs: float | None = None,
    task: str = 'auto',
    model: str | None = None,
    start: str | None = None,
    size: int | None = None,
    device: str | None = None,
    seed: int = 0,
) -> Run:
    """Train on a folder of annotated images, as ``mask2former train`` does; every setting is chosen, said and written.

    Args:
        data: The folder or file.
        out: Gets everything; by default ``runs/<name of the data>``, with a number if that has a training.
        time: How long all of it may take, such as ``'30m'``, which is the default.
        epochs: How often each image is seen, instead.
        task: 'auto', 'panoptic', 'instance' or 'semantic'.
        model: Such as 'lite0', 'r50', 'swin-t'.
        start: A checkpoint, the folder of a training or of transformers, or the name of a published model, to begin
            with.
        size: Longest side that images are scaled to, in pixels.
        device: 'cpu' or 'cuda'.
        seed: Of the split and of the training.

    Returns:
        Run: Its folder, config, best checkpoint, report and metrics; ``load(run.folder)`` predicts with it.

    Raises:
        ConfigError: If an argument cannot be, or the time is too short.
        DataError: If the data are not understood.
    """
    try:
        seconds = None if time is None else parse_time(time)
    except ArgumentTypeError as error:
        raise ConfigError(f'{error}.') from None
    return _train(data, out, Options(task, model, start, seconds, epochs, size, device, seed))


def predict(
    images: str | os.PathLike | Sequence[ImageInput],
    run: str | os.PathLike,
    *,
    task: str | None = None,
    device: str | None = None,
    score_thr: float = 0.3,
) -> Iterator[Prediction]:
    """Segment a file, a folder or a list of images, one after another; what cannot be read is reported and left out.

    Args:
        images: The images.
        run: The folder of a training, or the name of a published model.
        task: As of :func:`~mask2former.predictions.load`, like the others.
        device: By default the GPU if there is one.
        score_thr: Instances with lower scores are left out.
    """
    return load(run, task=task, device=device, score_thr=score_thr).stream(images)
