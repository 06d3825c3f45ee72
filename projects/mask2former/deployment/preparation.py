"""How images become inputs of an exported file: as the test pipeline of the model's config prepares them."""

import math
from typing import Any, NamedTuple

from mmcv.transforms import Resize
from mmdet.datasets.transforms import PackDetInputs
from torch import Tensor

from mask2former.apis.build import build_test_pipeline
from mask2former.datasets.transforms import PackSegInputs
from mask2former.errors import ConfigError
from mask2former.models.backbones.plain_vit import PlainViT
from mask2former.models.data_preprocessor import SegDataPreprocessor

Size = tuple[int, int] | None  # (H, W) of a file's input; None is any
STRIDE = 32  # of the coarsest features


class Scaling(NamedTuple):
    """How the test pipeline resizes.

    Attributes:
        scale: (width, height), as ``Resize`` has it; None leaves images as they are.
        keep_ratio: Whether ``scale`` is a frame (longest, shortest) that the image is to fit into.
        antialias: Whether reducing averages, as Pillow does, where OpenCV takes two neighbours.
    """

    scale: tuple[int, int] | None = None
    keep_ratio: bool = True
    antialias: bool = False


def scaling_of(model: Any) -> Scaling:
    """Read it from the config, if the model has one.

    Raises:
        ConfigError: If the pipeline does something else than to resize.
    """
    cfg = getattr(model, 'cfg', None)
    if cfg is None:
        return Scaling()
    _, transforms = build_test_pipeline(cfg)
    steps = [step for step in transforms if not isinstance(step, PackSegInputs | PackDetInputs)]
    for step in steps:
        if not isinstance(step, Resize) or step.scale is None or step.interpolation != 'bilinear' or len(steps) > 1:
            names = ' and '.join(type(step).__name__ for step in steps)
            raise ConfigError(
                f"The config's test pipeline has {names}, of which a file for images of any size can have one bilinear "
                'Resize to a scale: give --size HxW.'
            )
    return Scaling(tuple(steps[0].scale), steps[0].keep_ratio, antialiases(model)) if steps else Scaling()


def antialiases(model: Any) -> bool:
    """Whether the config resizes by Pillow."""
    cfg = getattr(model, 'cfg', None)
    pipeline = cfg.test_dataloader.dataset.pipeline if cfg is not None else ()
    return any(step.get('backend') == 'pillow' for step in pipeline)


def divisor_of(model: Any) -> int:
    """What height and width of a model's inputs are multiples of, after padding."""
    return getattr(model.data_preprocessor, 'size_divisor', STRIDE)


def check_size(model: Any, size: Size) -> None:
    """See that a model takes inputs of a size.

    Raises:
        ConfigError: If it is not of multiples of what the model divides by.
    """
    divisor = divisor_of(model)
    if size is not None and any(side <= 0 or side % divisor for side in size):
        raise ConfigError(f'The size {size[0]}x{size[1]} must be of multiples of {divisor}.')


def step_of(model: Any) -> int:
    """What the sides of all inputs are multiples of: patches, or strides as far as images are padded to them."""
    if isinstance(model.backbone, PlainViT):
        return model.backbone.patch_size
    return math.gcd(divisor_of(model), STRIDE)


def multiple(length: int, step: int) -> int:
    """The next multiple of a step from a length on."""
    return -(-length // step) * step


def pixels(preprocessor: SegDataPreprocessor, inputs: Tensor) -> Tensor:
    """Normalised images (B, 3, H, W) as a file takes them, from 0 to 255."""
    return inputs * preprocessor.std + preprocessor.mean


def padded(preprocessor: SegDataPreprocessor, inputs: Tensor, size: Size) -> Tensor:
    """Normalised images (B, 3, h, w) at a file's size (B, 3, H, W), in the upper left corner; as they are for None."""
    if size is None:
        return inputs
    whole = inputs.new_empty(*inputs.shape[:-2], *size).copy_(preprocessor.padding)
    whole[..., : inputs.shape[-2], : inputs.shape[-1]] = inputs
    return whole


def describe(model: Any, size: Size, precision: str = 'fp32') -> dict[str, Any]:
    """What a runtime has to know of the model beside its graph.

    Raises:
        ConfigError: If the file is one of any size, and the config prepares images in ways that it cannot say.
    """
    meta = model.dataset_meta
    parts = {getattr(part, 'predicts', ''): part for part in model.postprocessors}
    panoptic, instance, semantic = (parts.get(f'pred_{name}') for name in ('panoptic_seg', 'instances', 'sem_seg'))
    scaling = Scaling(antialias=antialiases(model)) if size else scaling_of(model)
    return dict(
        size=list(size) if size else None,
        divisor=divisor_of(model),
        **scaling._asdict(),
        precision=precision,
        pad_val=pixels(model.data_preprocessor, model.data_preprocessor.padding).flatten().tolist(),
        classes=list(meta['classes']),
        isthing=[bool(flag) for flag in meta['isthing']],
        palette=[list(map(int, color)) for color in meta.get('palette') or ()],
        category_ids=[int(number) for number in meta.get('category_ids') or ()],
        panoptic=panoptic and {key: getattr(panoptic, key) for key in ('score_thr', 'overlap_thr', 'inside_mask')},
        instance=instance and {key: getattr(instance, key) for key in ('max_per_image', 'score_thr')},
        semantic=semantic and semantic.resize,
        license=meta.get('license'),
    )
