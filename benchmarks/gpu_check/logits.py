"""Logits of CPU and GPU: the same weights and images, in float32."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.scene import OURS, Scene, agrees, logit_errors

from .settings import Settings
from .steps import MODELS, make_spec


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The errors of the device's logits, without and with TF32."""
    for model in MODELS[:1] if settings.small else MODELS:
        spec = make_spec(settings, model, 'train', 64 if settings.small else 512, 1)
        weights, expected = Scene(dict(spec, device='cpu')).common_weights()
        for tf32 in (False, True):
            yield settings.measure(dict(model=model, tf32=tf32), compare, Scene(spec), weights, expected, tf32)


def compare(scene: Scene, weights: dict[str, Tensor], expected: list[Tensor], tf32: bool) -> dict[str, object]:
    """The errors of the logits; those with TF32 are for information."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    contestant = scene.contestant(OURS, weights)
    contestant.model.eval()
    with torch.no_grad():
        errors = logit_errors(contestant.logits(), expected)
    return dict(errors, ok=tf32 or agrees(errors))
