"""Where the time of a training step or a prediction goes, part by part."""

import time
from collections.abc import Callable

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.models import Mask2Former
from mask2former.models.head import HeadOutput

from .common import synchronize


class Clock:
    """Adds up the seconds between its calls under names.

    Args:
        device: It is waited for at every call.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """Forget the time since the last call."""
        synchronize(self.device)
        self.start = time.perf_counter()

    def lap(self, name: str) -> None:
        """Count the time since the last call for ``name``."""
        synchronize(self.device)
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.start
        self.start = now


def cut(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors as leaves: what is computed from them has a graph of its own."""
    return [x.detach().requires_grad_() for x in tensors]


def profile_training(
    model: Mask2Former, images: Tensor, samples: list[DetDataSample], update: Callable[[], object]
) -> dict[str, float]:
    """Seconds of the parts of a training step. The graph is cut between the parts, and each is gone through by itself.

    Args:
        model: In training mode.
        images: (B, 3, H, W).
        samples: B samples with ``gt_segments``.
        update: Clips the gradients and updates the weights.

    Returns:
        dict[str, float]: Seconds by part, forward and backward apart.
    """
    targets = [sample.gt_segments for sample in samples]
    clock = Clock(images.device)
    features = model.backbone(images)
    clock.lap('backbone forward')
    leaves_1 = cut(features)
    mask_features, memory = model.pixel_decoder(leaves_1)
    clock.lap('pixel decoder forward')
    leaves_2 = cut([mask_features, *memory])
    output = model.head(leaves_2[0], leaves_2[1:])
    clock.lap('head forward')
    leaves_3 = HeadOutput(*cut(output[:3]))
    matches = model.criterion.matcher(leaves_3, targets)
    clock.lap('match')
    losses = model.criterion.layer_losses(leaves_3, targets, matches).values()
    loss = torch.stack([x.sum() for x in losses]).sum()
    clock.lap('loss forward')
    loss.backward()
    clock.lap('loss backward')
    torch.autograd.backward(output[:3], [x.grad for x in leaves_3[:3]])
    clock.lap('head backward')
    torch.autograd.backward([mask_features, *memory], [x.grad for x in leaves_2])
    clock.lap('pixel decoder backward')
    learned = [(x, leaf.grad) for x, leaf in zip(features, leaves_1) if x.requires_grad]
    torch.autograd.backward([x for x, _ in learned], [grad for _, grad in learned])
    clock.lap('backbone backward')
    update()
    clock.lap('optimizer')
    return clock.seconds


@torch.no_grad()
def profile_prediction(model: Mask2Former, images: Tensor, samples: list[DetDataSample]) -> dict[str, float]:
    """Seconds of the parts of a prediction; arguments as of :func:`profile_training`, the model in evaluation mode."""
    clock = Clock(images.device)
    features = model.backbone(images)
    clock.lap('backbone')
    mask_features, memory = model.pixel_decoder(features)
    clock.lap('pixel decoder')
    model.head(mask_features, memory)
    clock.lap('head')
    parts = dict(clock.seconds)
    clock.restart()
    model.predict(images, [sample.clone() for sample in samples])
    clock.lap('whole')
    return dict(parts, **{'post-processing': clock.seconds['whole'] - sum(parts.values())})
