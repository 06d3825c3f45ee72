"""The limits of a config in one sentence each, where they cap what can be learnt or found."""

from collections.abc import Callable, Sequence

import numpy as np

from mask2former.datasets.segment_table import SegmentTable

from .bounds import best_ap, best_pq, choose_missed, pq_loss, recall_loss
from .crops import class_visibility
from .settings import LimitSettings

# Of all segments, the share from which on small ones are worth a sentence.
MIN_SMALL = 0.01
# Of the training's crops, the share below which a class is rarely seen.
RARE = 1e-3
SHOWN = 5
SET = dict(train='training', val='validation', test='test')


def limit_sentences(
    table: SegmentTable, settings: LimitSettings, classes: Sequence[str], isthing: Sequence[bool]
) -> list[str]:
    """What the settings cap on a split; nothing of a limit that caps nothing.

    Args:
        table: The segments of the split.
        settings: What the config says.
        classes: K names.
        isthing: Of each class, whether it is a thing.
    """
    if not len(table):  # as of a test set, whose truth nobody has
        return []
    if settings.by_class:
        table = table.by_class()
    objects = table.of_labels(np.flatnonzero(isthing))
    said = [_queries(table, objects, settings, classes)]
    if settings.split == 'train':
        said += [_absent(table, classes), _small(table, settings), _crops(table, settings, classes)]
    else:
        said += [_top_k(objects, settings, classes), _max_dets(objects, settings, classes), _small(table, settings)]
    return [sentence for sentence in said if sentence]


def _queries(table: SegmentTable, objects: SegmentTable, settings: LimitSettings, classes: Sequence[str]) -> str | None:
    limit = settings.num_queries
    per_image = table.per_image()
    crowded = np.flatnonzero(per_image > (limit or np.inf))
    if limit is None or not len(crowded):
        return None
    what = 'classes' if settings.by_class else 'segments'
    start = (
        f'{len(crowded)} of {len(per_image)} {SET[settings.split]} images have more than {limit} {what} '
        f'(model.head.num_queries), up to {per_image.max()}'
    )
    if settings.split == 'train':
        excess = int((per_image[crowded] - limit).sum())
        cropped = settings.scaling is not None and settings.scaling.crop and not settings.keeps_emptied
        more = '; crops have fewer' if cropped else ''
        return f'{start}: seen whole, {excess} of {len(table)} {what} would be learnt by no query{more}.'
    reached = []
    if settings.measures_pq:
        missed = _missed(table, limit, pq_loss, len(classes))
        reached.append(f'PQ can reach {best_pq(table.per_class(len(classes)), missed):.1f}')
    if settings.max_per_image is not None and (objects.per_image() > limit).any():
        reached.append(f'AP {"" if reached else "can reach "}{_best_ap(objects, limit, len(classes)):.1f}')
    return f'{start}: {" and ".join(reached)} at most.' if reached else f'{start}.'


def _top_k(objects: SegmentTable, settings: LimitSettings, classes: Sequence[str]) -> str | None:
    limit = settings.max_per_image
    return None if limit is None else _capped(objects, limit, 'max_per_image of InstanceTopK', settings, classes)


def _max_dets(objects: SegmentTable, settings: LimitSettings, classes: Sequence[str]) -> str | None:
    limit = settings.max_dets
    if limit is None:
        return None
    if settings.lvis:
        return _capped(objects, limit, 'max_dets of InstanceAP', settings, classes)
    cells, counts = np.unique(objects.image * len(classes) + objects.label, return_counts=True)
    over = counts > limit
    if not over.any():
        return None
    missed = np.bincount(cells[over] % len(classes), weights=counts[over] - limit, minlength=len(classes)).astype(int)
    images = len(np.unique(cells[over] // len(classes)))
    best = best_ap(objects.per_class(len(classes)), missed)
    return (
        f'{images} of {len(objects.sizes)} {SET[settings.split]} images have more than {limit} objects of a class '
        f'(max_dets of InstanceAP), up to {counts.max()}: AP can reach {best:.1f} at most.'
    )


def _capped(
    objects: SegmentTable, limit: int, name: str, settings: LimitSettings, classes: Sequence[str]
) -> str | None:
    per_image = objects.per_image()
    crowded = int((per_image > limit).sum())
    if not crowded:
        return None
    return (
        f'{crowded} of {len(per_image)} {SET[settings.split]} images have more than {limit} objects ({name}), up to '
        f'{per_image.max()}: AP can reach {_best_ap(objects, limit, len(classes)):.1f} at most.'
    )


def _missed(table: SegmentTable, limit: int, loss: Callable[[int, int], float], num_classes: int) -> np.ndarray:
    """Of each class (K,), the segments that the best choice misses."""
    crowded = np.flatnonzero(table.per_image() > limit)
    counts = table.counts(crowded, num_classes)
    return choose_missed(counts, limit, loss, table.per_class(num_classes)).sum(axis=0)


def _best_ap(objects: SegmentTable, limit: int, num_classes: int) -> float:
    return best_ap(objects.per_class(num_classes), _missed(objects, limit, recall_loss, num_classes))


def _absent(table: SegmentTable, classes: Sequence[str]) -> str | None:
    absent = np.flatnonzero(table.per_class(len(classes)) == 0)
    if not len(absent):
        return None
    names = ', '.join(f"'{classes[label]}'" for label in absent[:SHOWN]) + (', ...' if len(absent) > SHOWN else '')
    return (
        f'{len(absent)} of {len(classes)} classes have no training example and cannot be learnt: {names}.'
        if len(absent) > 1
        else f'1 of {len(classes)} classes has no training example and cannot be learnt: {names}.'
    )


def _small(table: SegmentTable, settings: LimitSettings) -> str | None:
    if settings.scaling is None:
        return None
    factor = settings.scaling.usual(table.sizes)[table.image]
    known = ~np.isnan(table.area)
    small = table.area[known] * factor[known] ** 2 < settings.stride**2
    if not known.any() or small.mean() < MIN_SMALL:
        return None
    when = 'the usual size of the training' if settings.split == 'train' else 'the size of the test'
    return (
        f'{small.sum()} of {known.sum()} {SET[settings.split]} segments ({100 * small.mean():.1f} %) are smaller than '
        f'one pixel of the mask features, {settings.stride} x {settings.stride} pixels of the image at {when}, and are '
        'hardly found: enlarge the images.'
    )


def _crops(table: SegmentTable, settings: LimitSettings, classes: Sequence[str]) -> str | None:
    scaling = settings.scaling
    if scaling is None or scaling.crop is None or np.isnan(table.box).any():
        return None
    shares = class_visibility(table, scaling, len(classes))
    there = table.per_class(len(classes)) > 0
    rare = np.flatnonzero(there & (shares < RARE))
    if not len(rare):
        return None
    least = rare[int(shares[rare].argmin())]
    height, width = scaling.crop
    times = '' if settings.draws is None else f', about {shares[least] * settings.draws:.0f} times in this training'
    return (
        f'{len(rare)} of {len(classes)} classes are in fewer than 1 of {round(1 / RARE)} training crops of '
        f"{width} x {height}; '{classes[least]}' is in {_one_of(shares[least])}{times}."
    )


def _one_of(share: float) -> str:
    return f'1 of {round(1 / share):,}' if share > 0 else 'none that was drawn'
