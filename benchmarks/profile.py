"""Where the time of a training step or a prediction goes, part by part."""

import time
from collections.abc import Callable

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.models import Mask2Former
from mask2former.models.head import HeadOutput

from .common import synchronize


class Meter:
    """Adds up what something that only grows has grown by between its calls, under names.

    Args:
        read: Its value now, such as the time or the number of operations so far.
    """

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.parts: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """Forget what came since the last call."""
        self.start = self.read()

    def lap(self, name: str) -> None:
        """Count what came since the last call for ``name``."""
        now = self.read()
        self.parts[name] = self.parts.get(name, 0.0) + now - self.start
        self.start = now


def clock(device: torch.device) -> Meter:
    """A meter of seconds, which waits for the device."""

    def read() -> float:
        synchronize(device)
        return time.perf_counter()

    return Meter(read)


def cut(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors as leaves: what is computed from them has a graph of its own."""
    return [x.detach().requires_grad_() for x in tensors]


def profile_training(
    model: Mask2Former,
    images: Tensor,
    samples: list[DetDataSample],
    update: Callable[[], object],
    meter: Meter | None = None,
) -> dict[str, float]:
    """Seconds of the parts of a training step. The graph is cut between the parts, and each is gone through by itself.

    Args:
        model: In training mode.
        images: (B, 3, H, W).
        samples: B samples with ``gt_segments``.
        update: Clips the gradients and updates the weights.
        meter: What is measured; by default the time.

    Returns:
        dict[str, float]: Seconds, or what the meter reads, by part, forward and backward apart.
    """
    targets = [sample.gt_segments for sample in samples]
    meter = meter or clock(images.device)
    features = model.backbone(images)
    meter.lap('backbone forward')
    leaves_1 = cut(features)
    mask_features, memory = model.pixel_decoder(leaves_1)
    meter.lap('pixel decoder forward')
    leaves_2 = cut([mask_features, *memory])
    output = model.head(leaves_2[0], leaves_2[1:])
    meter.lap('head forward')
    leaves_3 = HeadOutput(*cut(output[:3]))
    matches = model.criterion.matcher(leaves_3, targets)
    meter.lap('match')
    losses = model.criterion.layer_losses(leaves_3, targets, matches).values()
    loss = torch.stack([x.sum() for x in losses]).sum()
    meter.lap('loss forward')
    loss.backward()
    meter.lap('loss backward')
    torch.autograd.backward(output[:3], [x.grad for x in leaves_3[:3]])
    meter.lap('head backward')
    torch.autograd.backward([mask_features, *memory], [x.grad for x in leaves_2])
    meter.lap('pixel decoder backward')
    learned = [(x, leaf.grad) for x, leaf in zip(features, leaves_1) if x.requires_grad]
    torch.autograd.backward([x for x, _ in learned], [grad for _, grad in learned])
    meter.lap('backbone backward')
    update()
    meter.lap('optimizer')
    return meter.parts


@torch.no_grad()
def profile_prediction(
    model: Mask2Former, images: Tensor, samples: list[DetDataSample], meter: Meter | None = None
) -> dict[str, float]:
    """Seconds of the parts of a prediction; arguments as of :func:`profile_training`, the model in evaluation mode."""
    meter = meter or clock(images.device)
    modules = {'backbone': model.backbone, 'pixel decoder': model.pixel_decoder, 'head': model.head}
    hooks = [part.register_forward_hook(lambda *_, name=name: meter.lap(name)) for name, part in modules.items()]
    model.predict(images, [sample.clone() for sample in samples])
    meter.lap('post-processing')
    for hook in hooks:
        hook.remove()
    return meter.parts
