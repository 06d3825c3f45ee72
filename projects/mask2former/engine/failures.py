"""Files of training steps that failed: the batch, the random numbers, what came out; on request the weights.

They hold tensors and plain values only, so that reading one runs no code of it.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mask2former.checkpoints.read import check_sums
from mask2former.errors import DataError
from mask2former.formats.files import write_atomically

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
    for name, field in plain['fields'].items():
        element: BaseDataElement = _KINDS[field['kind']]()
        for key, value in field['values'].items():
            setattr(element, key, value)
        setattr(sample, name, element)
    return sample


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
        return dict(content, samples=[sample_of(sample) for sample in content['samples']])
    except OSError:
        raise
    except Exception:  # whatever else a file holds, and a damaged one can raise anything
        raise DataError(
            f"'{path}' is no file of work_dir/failures, or it is damaged: give one that a training wrote."
        ) from None


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
