"""Chooses every setting of a training from what the data and the machine are like, and says why.

Nothing here reads a file or runs a model. The numbers are those that this project's own small trainings came to
(docs/your_own_data.md), not the result of a search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mask2former.errors import ConfigError

if TYPE_CHECKING:
    from .survey import Survey


# Configs of models by their short names; the learning rate with which a training from ImageNet weights begins, and how
# many images in a step it is for.
MODELS: Mapping[str, tuple[str, float, int]] = {
    'lite0': ('mask2former_efficientnet-lite0', 1e-3, 4),
    'r50': ('mask2former_r50', 1e-4, 16),
    'r101': ('mask2former_r101', 1e-4, 16),
    'swin-t': ('mask2former_swin-t', 1e-4, 16),
    'swin-s': ('mask2former_swin-s', 1e-4, 16),
    'swin-b': ('mask2former_swin-b-in21k', 1e-4, 16),
    'swin-l': ('mask2former_swin-l', 1e-4, 16),
    'convnext-t': ('mask2former_convnext-t', 1e-4, 16),
}
_MASK_STRIDE = 4  # pixels of the input for one of the mask features, in each direction
_VALIDATIONS = 6  # in between
TRIED_IMAGES = 24  # on which thresholds of panoptic segments are tried at the end; each takes the time of two
_VALIDATION_SHARE = 0.0125  # of the time, for each
_TRAINING_SHARE = 0.95  # of the time, for training, validations and the test; the rest is for the report
PATIENCE = 3  # validations without a better result, after which a training ends


@dataclass(frozen=True)
class Machine:
    """What a training runs on.

    Attributes:
        device: 'cpu' or 'cuda'.
        cores: Of the processor.
    """

    device: str
    cores: int

    @property
    def has_gpu(self) -> bool:
        return self.device != 'cpu'


@dataclass(frozen=True)
class Choice:
    """A setting, and why it is so, in words for people."""

    value: object
    reason: str


def choose_model(name: str | None, machine: Machine, start: str | None = None) -> Choice:
    """A key of :data:`MODELS`.

    Args:
        name: The one that was asked for.
        machine: What the training runs on.
        start: The name, less its suffix, of the file in ``configs/_base_/models`` that has the model whose weights the
            training begins with; None where it begins with none, or with those of an unknown one.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name is not None:
        if name not in MODELS:
            raise ConfigError(f"There is no model '{name}': choose one of {', '.join(MODELS)}.")
        return Choice(name, 'as asked for')
    for key, (config, _, _) in MODELS.items():
        if config == start:
            return Choice(key, 'that of the checkpoint to begin with')
    if machine.has_gpu:
        return Choice('r50', 'the usual one where there is a GPU')
    return Choice('lite0', 'the small one: there is no GPU')


def choose_size(survey: Survey, machine: Machine) -> Choice:
    """The box (width, height) that images are scaled into, keeping their shape."""
    width, height = survey.image_size
    longest, limit = max(width, height), 1024 if machine.has_gpu else 512
    factor, reason = 1.0, f'the size of most images, {width:g} x {height:g}'
    if survey.small_side is not None:
        wanted = 4 * _MASK_STRIDE / survey.small_side
        if wanted > 1:
            factor = min(wanted, 2.0)
            reason = (
                f'images of {width:g} x {height:g} are enlarged {factor:.2g} times: a tenth of the objects are smaller '
                f'than {survey.small_side:.0f} pixels, and masks have a quarter of the resolution'
            )
    if longest * factor > limit:
        reason = f'at most {limit} pixels a side {"on this machine" if not machine.has_gpu else ""}'.rstrip()
        if survey.small_side is not None and survey.small_side * limit / longest < 2 * _MASK_STRIDE:
            reason += '; small objects suffer from that: --size raises it'
        factor = limit / longest
    return Choice((round(width * factor), round(height * factor)), reason)


def choose_crop(size: tuple[int, int], machine: Machine) -> Choice:
    """(width, height) of the crops that a training step sees."""
    limit = 1024 if machine.has_gpu else 320
    crop = tuple(min(limit, 32 * math.ceil(side / 32)) for side in size)
    whole = all(side >= other for side, other in zip(crop, size))
    return Choice(crop, 'whole images' if whole else f'a step stays cheap with crops of at most {limit} pixels')


def choose_queries(survey: Survey) -> Choice:
    """How many segments the model can find in an image."""
    count = min(300, max(50, 50 * math.ceil(1.2 * survey.most_segments / 50)))
    reason = f'the fullest image has {survey.most_segments} segments'
    if survey.most_segments > count:
        reason += f'; {count} is the most that is chosen by itself'
    return Choice(count, reason)


def choose_points(crop: tuple[int, int]) -> Choice:
    """How many points of a mask the losses and the matcher look at."""
    cells = crop[0] * crop[1] // _MASK_STRIDE**2
    count = min(12544, max(2048, round(12544 / 65536 * cells / 64) * 64))
    reason = "the reference's share of the mask features" if count > 2048 else 'enough for masks this small, and faster'
    return Choice(count, f'{reason}; the reference looks at 12544 of 256 x 256')


def choose_lr(model: str, batch_size: int, fine_tuned: bool) -> Choice:
    """The learning rate after the warm-up."""
    _, rate, images = MODELS[model]
    if fine_tuned:
        return Choice(min(rate, 3e-4), 'lower, since the training begins with a trained model')
    if batch_size < images:  # the square-root rule
        scaled = float(f'{rate * math.sqrt(batch_size / images):.2g}')
        return Choice(scaled, f'{rate:g} is for {images} images in a step, and less for {batch_size}')
    return Choice(rate, f'what trainings with {images} images in a step went well with')


@dataclass(frozen=True)
class Costs:
    """What was measured: seconds of a training step and of a test image, and the images of the step."""

    step: float
    image: float
    batch_size: int


@dataclass(frozen=True)
class Schedule:
    """How long is trained and how often validated.

    Attributes:
        max_iters: Iterations.
        val_interval: Iterations from one validation to the next.
        val_images: Images of the validations in between; the last one, of the best checkpoint, sees all.
        reason: Why.
        seconds: That training and validations may take; None without a limit.
    """

    max_iters: int
    val_interval: int
    val_images: int
    reason: str
    seconds: float | None = None


def choose_schedule(survey: Survey, costs: Costs, seconds: float | None, epochs: float | None) -> Schedule:
    """Fit iterations and validations into the seconds that are left, or into epochs.

    Raises:
        ConfigError: If so little time is left that nothing can be learnt.
    """
    limit = None
    if seconds is None:
        assert epochs is not None
        max_iters = max(1, round(epochs * survey.num_train / costs.batch_size))
        reason = f'{epochs:g} epoch{"" if epochs == 1 else "s"} of {survey.num_train} images, {costs.batch_size} a step'
        val_images = max(1, min(survey.num_val, int(_VALIDATION_SHARE * max_iters * costs.step / costs.image)))
    else:
        val_images = max(1, min(survey.num_val, int(_VALIDATION_SHARE * seconds / costs.image)))
        tried = min(TRIED_IMAGES, survey.num_train) if survey.form == 'panoptic' else 0
        at_the_end = costs.image * (survey.num_val + 2 * tried)
        limit = _TRAINING_SHARE * seconds - at_the_end
        max_iters = int((limit - costs.image * _VALIDATIONS * val_images) / costs.step)
        if max_iters < 20:
            least = 60 * math.ceil((20 * costs.step + at_the_end) / 0.6 / 60)
            raise ConfigError(
                f'{max(0.0, seconds):.0f} seconds are left, in which nothing can be learnt: a step takes '
                f'{costs.step:.2g} s, and testing {survey.num_val} images {costs.image * survey.num_val:.0f} s; give '
                f'--time {least // 60}m or more.'
            )
        passes = max_iters * costs.batch_size / survey.num_train
        reason = f'a step of {costs.batch_size} images takes {costs.step:.2g} s here; {passes:.2g} epochs'
    return Schedule(max_iters, max(1, math.ceil(max_iters / _VALIDATIONS)), val_images, reason, limit)
