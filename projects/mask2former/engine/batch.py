"""What is in a batch of a data loader, for messages."""

from collections.abc import Iterable, Iterator
from typing import Any

from mmdet.structures import DetDataSample
from torch import Tensor


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in lists within lists, as test-time augmentation has images; other values are passed over."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def image_names(samples: Iterable[DetDataSample]) -> list[str]:
    """The path of each image; its id, or '?', where there is none."""
    return [str(sample.get('img_path', sample.get('img_id', '?'))) for sample in samples]
