"""Random weights and batches to compare implementations on: no data set is needed."""

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mask2former.models import Mask2Former


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Move every weight and BN statistic away from its initialisation, so that nothing is zero or one by chance."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        if 'running_var' in name:
            value.mul_((0.2 * noise).exp())
        elif value.ndim >= 2:
            value.add_(0.1 * noise * value.std().clamp(min=0.02))
        else:
            value.add_(0.1 * noise)


@torch.no_grad()
def make_confident(model: Mask2Former, images: Tensor, num_queries: int = 15) -> None:
    """Change the classifier so that ``num_queries`` queries of the first image are sure of a class, the others of none.

    Random weights alone are sure of nothing, and a panoptic result of nothing costs nothing.
    """
    classifier: nn.Linear = model.head.class_embed
    classifier.weight.mul_(100)
    logits = model.extract(images[:1]).class_logits[-1, 0]  # (Q, K + 1)
    lead = (logits[:, :-1].max(-1).values - logits[:, -1]).sort(descending=True).values  # (Q,)
    if num_queries < len(lead):
        classifier.bias[-1] += lead[num_queries - 1 : num_queries + 1].mean()


def smooth_masks(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Random blobs (count, H, W) bool that are neither empty nor full."""
    noise = torch.randn(count, 1, 5, 6, generator=generator)
    noise = F.interpolate(noise, size=(height, width), mode='bicubic')[:, 0]
    return noise > noise.flatten(1).median(1).values[:, None, None]


def make_batch(
    counts: list[int],
    batch_shape: tuple[int, int],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
    num_classes: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, list[DetDataSample]]:
    """Images and targets as the data preprocessor gives them.

    Args:
        counts: B numbers of segments.
        batch_shape: Size (H, W) of the padded images.
        img_shape: Size of the images proper, in the upper left; the rest is padding.
        ori_shape: Original image size.
        num_classes: K.
        seed: Of the random numbers.
        dtype: Of the images.

    Returns:
        tuple: Images (B, 3, H, W) and B data samples with ``gt_segments``.
    """
    generator = torch.Generator().manual_seed(seed)
    h, w = img_shape
    images = torch.zeros(len(counts), 3, *batch_shape, dtype=dtype)
    images[..., :h, :w] = torch.randn(len(counts), 3, h, w, generator=generator, dtype=dtype)
    samples = []
    for b, count in enumerate(counts):
        masks = torch.zeros(count, *batch_shape, dtype=torch.bool)
        masks[:, :h, :w] = smooth_masks(count, h, w, generator)
        sample = DetDataSample(
            metainfo=dict(img_id=b, batch_input_shape=batch_shape, img_shape=img_shape, ori_shape=ori_shape)
        )
        sample.gt_segments = InstanceData(labels=torch.randint(num_classes, (count,), generator=generator), masks=masks)
        samples.append(sample)
    return images, samples
