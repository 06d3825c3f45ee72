"""Files of training steps that failed: the batch, the random numbers, what came out; on request the weights.

They hold tensors and plain values only, so that reading one runs no code of it.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mask2former.checkpoints.read import check_sums
from mask2former.errors import DataError
from mask2former.formats.coco_values import is_number
from mask2former.formats.fields import Fields, is_count, is_table, wrong_field
from mask2former.formats.files import write_atomically

FIELDS: Fields = {
    'inputs': lambda value: isinstance(value, list) and all(map(_is_image, value)) and len(value) > 0,
    'samples': lambda value: isinstance(value, list) and all(map(is_table, value)),
    'seeds': lambda value: isinstance(value, list | tuple) and all(map(is_count, value)),
    'iteration': is_count,
    'rank': is_count,
    'amp_dtype?': lambda value: value in ('bfloat16', 'float16'),
    'loss_scale': lambda value: is_number(value) and value > 0,
    'accumulative_counts': lambda value: is_count(value) and 0 < value < 2**31,
    'losses': lambda value: is_table(value) and all(map(_is_loss, value.values())),
    'grad_norm?': lambda value: isinstance(value, float),
    'error?': lambda value: isinstance(value, str),
}
_KINDS = dict(InstanceData=InstanceData, PixelData=PixelData)


def plain_sample(sample: DetDataSample) -> dict:
    """A data sample as plain values and tensors: what it is called and sized, and its targets."""
    fields = {
        name: dict(kind=type(value).__name__, values=dict(value.items()))
        for name, value in sample.items()
        if type(value).__name__ in _KINDS
    }
    return dict(meta=_plain(dict(sample.metainfo_items())), fields=fields)


def sample_of(plain: Mapping[str, Any]) -> DetDataSample:
    """The data sample that :func:`plain_sample` was given, less what it leaves out."""
    sample = DetDataSample(metainfo=dict(plain['meta']))
    if not is_count(sample.get('seed', 0)):
        raise ValueError('seed')
    for name, field in plain['fields'].items():
        element: BaseDataElement = _KINDS[field['kind']]()
        for key, value in field['values'].items():
            setattr(element, key, value)
        setattr(sample, name, element)
    return sample


def check_targets(samples: Sequence[DetDataSample], num_classes: int) -> None:
    """See that the segments of data samples can be trained on.

    Raises:
        DataError: If one has none of them, or of other classes than 0 to ``num_classes - 1``.
    """
    for sample in samples:
        segments = sample.get('gt_segments', InstanceData())
        maps = sample.get('gt_seg_map', PixelData())
        labels = segments.get('labels')
        if (
            not isinstance(labels, torch.Tensor)
            or labels.is_floating_point()
            or not bool(((labels >= 0) & (labels < num_classes)).all())
            or not ('masks' in segments or ('ids' in segments and 'id_map' in maps))
        ):
            raise DataError(
                f'The failure has no segments of the {num_classes} classes of the model: give the config of its '
                'training.'
            )


def write_failure(path: Path, content: Mapping[str, Any]) -> None:
    """Write a failure whole or not at all: plain values, tensors, and data samples under ``samples``."""
    plain = dict(content, samples=[plain_sample(sample) for sample in content['samples']])
    write_atomically(path, lambda part: torch.save(plain, part))


def read_failure(path: str | Path) -> dict:
    """What :func:`write_failure` wrote.

    Raises:
        DataError: If it is no such file.
    """
    try:
        if zipfile.is_zipfile(path):
            check_sums(Path(path))  # and how much it unpacks to
        content = torch.load(path, map_location='cpu', weights_only=True)
        if (field := wrong_field(content, FIELDS)) is not None or len(content['inputs']) != len(content['samples']):
            raise ValueError(field)
        return dict(content, samples=[sample_of(sample) for sample in content['samples']])
    except OSError:
        raise
    except Exception:  # whatever else a file holds, and a damaged one can raise anything
        raise DataError(
            f"'{path}' is no file of work_dir/failures, or it is damaged: give one that a training wrote."
        ) from None


def _is_image(value: Any) -> bool:
    """Whether it is a tensor (bands, H, W), or (T, bands, H, W), that has all of its numbers."""
    return (
        isinstance(value, torch.Tensor)
        and value.dim() in (3, 4)
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _is_loss(value: Any) -> bool:
    return isinstance(value, float) or isinstance(value, torch.Tensor) and value.numel() == 1


def _plain(value: Any) -> Any:
    """What of a value is plain; the rest is left out."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if _is_plain(v)}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value if _is_plain(v))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _is_plain(value: Any) -> bool:
    kinds = str | int | float | bool | dict | list | tuple | np.ndarray | np.generic | torch.Tensor | None
    return isinstance(value, kinds)
