"""What a config says of its limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """How a pipeline resizes and crops images.

    Attributes:
        scales: ``(M, 2)``, longer and shorter side within which an image is made to fit: those that are drawn, evenly.
            Empty where images keep their size.
        crop: Height and width of the crops, None where there are none.
    """

    scales: np.ndarray
    crop: tuple[int, int] | None = None

    def usual(self, sizes: np.ndarray) -> np.ndarray:
        """The usual factor of images ``(I, 2)`` of height and width: ``(I,)``, that of the middle scale."""
        if not len(self.scales):
            return np.ones(len(sizes))
        return self.factor(
            sizes, self.scales[np.argsort(self.scales.prod(axis=1), kind='stable')[len(self.scales) // 2]]
        )

    @staticmethod
    def factor(sizes: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """The factors ``(I,)`` that make images ``(I, 2)`` fit into one scale ``(2,)``, or each into its own."""
        long, short = scales.max(axis=-1), scales.min(axis=-1)
        return np.minimum(long / sizes.max(axis=1), short / sizes.min(axis=1))


@dataclass(frozen=True)
class LimitSettings:
    """What a config says of the limits of one of its splits.

    Attributes:
        split: 'train', 'val' or 'test'.
        num_queries: Of the model; None where nothing says it, or where each window of an image has its own.
        max_per_image: Of the instance postprocessor, where results of instances are measured.
        max_dets: Of the instance metric.
        lvis: Whether that counts detections of all classes together, instead of each class's.
        stride: Of the mask features, in pixels of the input.
        scaling: Of the pipeline; None where it resizes in a way that is not known here.
        by_class: Whether all segments of a class are one.
        keeps_emptied: Whether segments that a crop left without a pixel stay targets.
        measures_pq: Whether a panoptic metric is measured.
        draws: Images that the whole training draws, None where nothing says it.
    """

    split: str
    num_queries: int | None = None
    max_per_image: int | None = None
    max_dets: int | None = None
    lvis: bool = False
    stride: int = 4
    scaling: Scaling | None = None
    by_class: bool = False
    keeps_emptied: bool = False
    measures_pq: bool = False
    draws: int | None = None


def limit_settings(cfg: Mapping, split: str, pipeline: Sequence[Mapping] = (), num_processes: int = 1) -> LimitSettings:
    """Read the limits of a split from a config.

    Args:
        cfg: The config.
        split: 'train', 'val' or 'test'.
        pipeline: Configs of the transforms of the data set.
        num_processes: That train together.
    """
    model = cfg.get('model') or {}
    evaluators = cfg.get(f'{split}_evaluator') or []
    metrics = [evaluators] if isinstance(evaluators, Mapping) else list(evaluators)
    instance = next((part for part in metrics if kind_of(part) == 'InstanceAP'), None)
    top_k = [part for part in _parts(model.get('postprocessors')) if kind_of(part) == 'InstanceTopK']
    lvis = bool(instance and instance.get('lvis', False))
    max_dets = (instance or {}).get('max_dets') or ((300,) if lvis else (100,))
    loader, loop = cfg.get('train_dataloader') or {}, cfg.get('train_cfg') or {}
    draws = None
    if split == 'train' and 'max_iters' in loop and 'batch_size' in loader:
        draws = loop['max_iters'] * loader['batch_size'] * num_processes
    semantic = bool(metrics) and all('Semantic' in kind_of(part) for part in metrics)
    return LimitSettings(
        split=split,
        num_queries=queries_of(model),
        max_per_image=top_k[0].get('max_per_image', 100) if top_k and instance else None,
        max_dets=max(max_dets) if instance else None,
        lvis=lvis,
        stride=mask_stride(model),
        scaling=read_scaling(pipeline),
        by_class=semantic or any(step.get('by_class') or kind_of(step) == 'LoadSemanticSegments' for step in pipeline),
        keeps_emptied=any(step.get('min_area', 1) == 0 for step in pipeline if kind_of(step) == 'PackSegInputs'),
        measures_pq=any(kind_of(part) == 'PanopticQuality' for part in metrics),
        draws=draws,
    )


def queries_of(model: Mapping) -> int | None:
    """The queries that an image has by a model's config; None where nothing says it, or each window has its own."""
    return None if model.get('sliding_window') else (model.get('head') or {}).get('num_queries')


def mask_stride(model: Mapping) -> int:
    """Pixels of the input, along a side, under one of the mask features of a model's config."""
    return ((model.get('pixel_decoder') or {}).get('strides') or (4,))[0]


def read_scaling(pipeline: Sequence[Mapping]) -> Scaling | None:
    """How a pipeline resizes and crops; None where a transform is met that resizes in another way."""
    scales, crop = np.zeros((0, 2)), None
    for step in pipeline:
        kind = kind_of(step)
        if kind == 'LargeScaleJitter':
            crop = tuple(step['crop_size'])[::-1]
            low, high = step.get('ratio_range', (0.1, 2.0))
            scales = np.linspace(low, high, 21)[:, None] * np.array(step.get('scale') or step['crop_size'])
        elif kind == 'RandomResize' and 'ratio_range' in step and step.get('keep_ratio', True):
            low, high = step['ratio_range']
            scales = np.linspace(low, high, 21)[:, None] * np.array(step['scale'])
        elif kind == 'RandomChoiceResize' and 'scales' in step and step.get('keep_ratio', True):
            scales = np.array(step['scales'], dtype=float).reshape(-1, 2)
        elif kind == 'Resize' and step.get('scale') is not None and step.get('keep_ratio', True):
            scales = np.array([step['scale']], dtype=float).reshape(-1, 2)
        elif kind == 'RandomCrop' and step.get('crop_type', 'absolute') == 'absolute':
            crop = tuple(step['crop_size'])[::-1]
        elif 'Resize' in kind or 'Crop' in kind or 'Affine' in kind or kind in ('Mosaic', 'CopyPaste', 'TestTimeAug'):
            return None
    return Scaling(scales, crop)


def kind_of(part: Mapping) -> str:
    """The name of what a config's ``type`` names, without its scope."""
    kind = part.get('type', '')
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def _parts(config: Any) -> Iterator[Mapping]:
    for part in (config or {}).values():
        if isinstance(part, Mapping):
            yield part
