"""What the metrics read from a data sample and from the metainfo, with one clear sentence where it is missing."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from mask2former.errors import ConfigError, DataError

RESULTS = dict(panoptic='pred_panoptic_seg', instance='pred_instances', semantic='pred_sem_seg')


def require_field(sample: dict, field: str, remedy: str) -> dict:
    """``sample[field]``.

    Args:
        sample: A data sample after ``to_dict()``, as mmengine's ``Evaluator`` gives it to ``process``.
        field: Such as ``'gt_panoptic_seg'``.
        remedy: What the user is to do where the field is missing.

    Raises:
        DataError: The sample lacks the field.
    """
    if sample.get(field) is None:
        raise DataError(f"The data sample of {image_name(sample)} has no '{field}': {remedy}.")
    return sample[field]


def require_result(sample: dict, task: str) -> dict:
    """What a postprocessor predicted of an image.

    Args:
        sample: As of :func:`require_field`.
        task: 'panoptic', 'instance' or 'semantic', as the postprocessors of a model are called.

    Raises:
        DataError: The sample lacks it.
    """
    remedy = f'add the {task} postprocessor to model.postprocessors, or leave this metric out'
    return require_field(sample, RESULTS[task], remedy)


def check_predicted(metrics: Iterable[object], postprocessors: Iterable[object], where: str) -> None:
    """See that a model predicts what is measured, before it is trained.

    Args:
        metrics: Those that say what they measure (``predicted``) are looked at.
        postprocessors: The model's. Where one does not say what it ``predicts``, anything may be.
        where: What the config calls the metrics.

    Raises:
        ConfigError: If none predicts what a metric measures.
    """
    given = [getattr(postprocessor, 'predicts', None) for postprocessor in postprocessors]
    for metric in metrics:
        wanted = getattr(metric, 'predicted', None)
        if wanted is not None and wanted not in given and None not in given:
            raise ConfigError(
                f"{where}: {type(metric).__name__} measures '{wanted}', but model.postprocessors gives "
                f'{" and ".join(map(repr, given)) or "nothing"}: leave the metric out, or add a postprocessor for it.'
            )


def require_tracks(sample: dict) -> list[dict]:
    """The tracks that were predicted in a video, ``dict(score, label, segmentations)`` each.

    Raises:
        DataError: The sample has none, or a track lacks something.
    """
    tracks: Any = require_field(sample, 'pred_tracks', 'test a model for videos')
    for track in tracks:
        lacking = [key for key in ('score', 'label', 'segmentations') if key not in track]
        if lacking:
            raise DataError(f'A predicted track of {image_name(sample)} has no {" and no ".join(map(repr, lacking))}.')
    return tracks


def require_meta(dataset_meta: dict | None, key: str) -> tuple:
    """The entry ``key`` of the data set's metainfo.

    Raises:
        DataError: The metainfo is not there or lacks the entry.
    """
    if not dataset_meta or dataset_meta.get(key) is None:
        raise DataError(
            f"The metric has no '{key}' of the data set: set metric.dataset_meta to a metainfo with it "
            '(a runner sets it from dataset.metainfo).'
        )
    return tuple(dataset_meta[key])


def plane(element: dict, key: str, sample: dict) -> np.ndarray:
    """The pixel map ``element[key]`` as an array ``(H, W)`` on the CPU.

    Args:
        element: A ``PixelData`` after ``to_dict()``; the map is a tensor or array, ``(1, H, W)`` or ``(H, W)``.
        key: ``'id_map'`` or ``'sem_seg'``.
        sample: The data sample, for the message.

    Raises:
        DataError: The map has another shape.
    """
    pixels = element[key]
    pixels = pixels.cpu().numpy() if isinstance(pixels, torch.Tensor) else np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 2:
        raise DataError(f"'{key}' of {image_name(sample)} has the shape {pixels.shape}, it must be (1, H, W).")
    return pixels


def check_same_size(prediction: tuple, ground_truth: tuple, sample: dict) -> None:
    """Raise ``ValueError`` where the prediction's ``(H, W)`` is not the ground truth's."""
    if tuple(prediction) != tuple(ground_truth):
        raise DataError(
            f'The prediction of {image_name(sample)} is {tuple(prediction)} (H, W) but its ground truth '
            f'{tuple(ground_truth)}: predict at the original size (ori_shape) and load the ground truth '
            'without resizing it.'
        )


def image_name(sample: dict) -> Any:
    """What names the image or video of the sample in a message: its path, else its id."""
    if sample.get('video_id') is not None:
        return f'video {sample["video_id"]!r}'
    return sample.get('img_path') or f'image {sample.get("img_id", "without img_path and img_id")}'
