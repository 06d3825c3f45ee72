"""Logits of CPU and GPU: the same weights and images, in float32."""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.common import allow_tf32
from benchmarks.scene import OURS, Scene, agrees, logit_errors

from .settings import Settings
from .steps import MODELS, make_spec


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The errors of the device's logits, without and with TF32."""
    for model in MODELS[:1] if settings.small else MODELS:
        spec = make_spec(settings, model, 'train', 64 if settings.small else 512, 1)
        expect = functools.cache(functools.partial(on_cpu, spec))
        for tf32 in (False, True):
            yield settings.measure(dict(model=model, tf32=tf32), compare, spec, expect, tf32)


def on_cpu(spec: dict) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The weights and the logits that the CPU gives with them."""
    return Scene(dict(spec, device='cpu')).common_weights()


def compare(spec: dict, expect: Callable[[], tuple[dict[str, Tensor], list[Tensor]]], tf32: bool) -> dict[str, object]:
    """The errors of the logits; those with TF32 are for information."""
    weights, expected = expect()
    contestant = Scene(spec).contestant(OURS, weights)
    contestant.model.eval()
    with torch.no_grad(), allow_tf32(tf32):
        errors = logit_errors(contestant.logits(), expected)
    return dict(errors, ok=tf32 or agrees(errors))
