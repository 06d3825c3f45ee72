"""Training steps and predictions of ours and of the peers."""

import time
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from benchmarks.common import allow_tf32, peak_mb, spread, synchronize
from benchmarks.scene import OURS, Scene, agrees, logit_errors
from mask2former.compat import provide_mmcv_ext

from .settings import ROOT, Settings

MODELS = ('r50', 'swin-t-p4-w7-224')
MODES = ('train', 'predict')
VARIANTS: dict[str, dict] = {
    'float32': {},
    'bfloat16': dict(amp='bfloat16'),
    'channels-last': dict(channels_last=True),
    'compile': dict(compile=True),
}
COMPILE_SECONDS = 60  # at least


def make_spec(settings: Settings, model: str, mode: str, size: int, batch_size: int, variant: str = 'float32') -> dict:
    """What is measured, in the words of :mod:`benchmarks.side_by_side`."""
    return dict(
        config=str(ROOT / f'configs/coco/panoptic/mask2former_{model}_8xb2-lsj-50e_coco-panoptic.py'),
        cfg_options={},
        device=settings.device,
        threads=None,
        mode=mode,
        size=[size, size],
        ori_size=None,
        batch_size=batch_size,
        frames=None,
        segments=3 if settings.small else 12,
        queries=10 if settings.small else None,
        outputs=['panoptic', 'instance'],
        **dict(dict(amp=None, compile=False, channels_last=False), **VARIANTS[variant]),
    )


def cases(small: bool) -> list[dict]:
    """The cases, arguments of :func:`make_spec`, in the order of their value."""
    if small:
        found = [('train', 'channels-last'), ('predict', 'bfloat16')]
        return [dict(model=MODELS[0], mode=mode, size=64, batch_size=1, variant=variant) for mode, variant in found]
    sizes = product((1, 2), (512, 1024), ('float32', 'bfloat16'), MODELS, MODES)
    variants = product((1,), (1024,), ('channels-last', 'compile'), MODELS, MODES)
    return [
        dict(model=model, mode=mode, size=size, batch_size=batch_size, variant=variant)
        for batch_size, size, variant, model, mode in (*sizes, *variants)
    ]


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The cases of the contestant ``part``; with each model first whether its logits are ours."""
    if part == 'mmdet' and settings.device != 'cpu' and provide_mmcv_ext():
        yield dict(contestant=part, absent='needs full mmcv on CUDA: mmcv-lite lacks its operators')
        return
    weights: dict[tuple[str, str], dict[str, Tensor]] = {}
    for case in cases(settings.small):
        if case['variant'] == 'compile' and part != OURS:
            continue
        scene = Scene(make_spec(settings, **case))
        key = case['model'], case['mode']
        if key not in weights and settings.left() > 0:
            weights[key] = {}
            yield settings.measure(dict(contestant=part, logits_of='-'.join(key)), prepare, scene, part, weights[key])
        if settings.left() > 0 and not weights.get(key):
            yield dict(contestant=part, **case, skipped='there are no weights for it')
            continue
        needs = COMPILE_SECONDS if case['variant'] == 'compile' else 0
        turns = (0, 2) if settings.small else (3, 10)
        yield settings.measure(
            dict(contestant=part, **case), time_steps, scene, part, weights.get(key), *turns, needs=needs
        )


def prepare(scene: Scene, name: str, weights: dict[str, Tensor]) -> dict[str, object]:
    """Put a contestant's weights into ``weights``; the errors of its logits with them."""
    with allow_tf32(False):  # whose rounding is not that of float32, which is compared
        common, logits = scene.common_weights()
        weights.update(scene.weights_of(name, common))
        contestant = Scene(dict(scene.spec, amp=None)).contestant(name, weights)
        contestant.model.eval()
        with torch.no_grad():
            errors = logit_errors(contestant.logits(), logits)
    return dict(errors, ok=agrees(errors))


def time_steps(scene: Scene, name: str, weights: dict[str, Tensor], warmup: int, repeats: int) -> dict[str, object]:
    """Seconds and MiB of the steps of a contestant."""
    if scene.device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(scene.device)
    contestant = scene.contestant(name, weights)
    run = contestant.train_step if scene.spec['mode'] == 'train' else contestant.predict
    times = []
    for _ in range(warmup + repeats):
        synchronize(scene.device)
        start = time.perf_counter()
        run()
        synchronize(scene.device)
        times.append(time.perf_counter() - start)
    return dict(spread(times[warmup:]), first=times[0], peak_mb=peak_mb(scene.device))
