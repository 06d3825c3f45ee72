"""Where the time of our training steps and predictions goes."""

import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.common import synchronize
from benchmarks.profile import profile_training
from benchmarks.scene import OURS, Scene
from mask2former.models import Mask2Former

from .settings import ROOT, Settings
from .steps import MODELS, MODES, make_spec

COUNTED = dict(
    waits=('cudaStreamSynchronize', 'cudaDeviceSynchronize', 'cudaEventSynchronize'),
    copies=('cudaMemcpyAsync', 'cudaMemcpy'),
    launches=('cudaLaunchKernel', 'cudaLaunchKernelExC', 'cuLaunchKernel', 'cuLaunchKernelEx'),
    scalars=('aten::_local_scalar_dense',),
    nonzero=('aten::nonzero',),
)
STEP = 'gpu_check.step'
LONGEST = 15


def check(settings: Settings, part: str) -> Iterator[dict]:
    """Counts; then the longest operations, the lines of the waits and the parts of a step."""
    for variant, mode in [('float32', 'train')] if settings.small else product(('float32', 'bfloat16'), MODES):
        scene = Scene(make_spec(settings, MODELS[0], mode, 64 if settings.small else 1024, 1, variant))
        case = dict(mode=mode, variant=variant)
        rows: list[dict] = []
        yield settings.measure(case, examine, scene, 1 if settings.small else 3, rows)
        yield from (dict(case, **row) for row in rows)


def examine(scene: Scene, warmup: int, rows: list[dict]) -> dict[str, object]:
    """What is counted in a step; further tables go into ``rows``."""
    contestant = scene.contestant(OURS, scene.common_weights()[0])
    train = scene.spec['mode'] == 'train'
    run = contestant.train_step if train else contestant.predict
    for _ in range(warmup):
        run()
    counts, longest = count_and_rank(run, scene.device)
    rows += longest
    if scene.device.type == 'cuda':
        rows += [dict(line=line, waits=count) for line, count in waiting_lines(run).most_common(20)]
    model = contestant.model
    if train and not scene.spec['amp'] and isinstance(model, Mask2Former):
        for _ in range(2):
            parts = profile_training(model, *scene.batch(), contestant.update)
        rows += [dict(part=name, seconds=seconds) for name, seconds in parts.items()]
    return counts


def count_and_rank(run: Callable[[], object], device: torch.device) -> tuple[dict, list[dict]]:
    """How often what is worth counting happens in a step, and its longest operations."""
    cuda = device.type == 'cuda'
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    seconds = time.perf_counter() - start
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        with record_function(STEP):
            run()
        # Here the profiler itself waits for the device.
    events: Any = profiler.events()
    # Kernels are events of the device; their time is that of the operations that launched them, too.
    kernels = [x for x in events if str(x.device_type).endswith('CUDA') and not getattr(x, 'is_user_annotation', False)]
    calls: Counter[str] = Counter()
    ms: dict[str, float] = defaultdict(float)
    for x in operations_of_the_step(events):
        calls[x.name] += 1
        ms[x.name] += (x.self_device_time_total if cuda else x.self_cpu_time_total) / 1e3
    counts: dict = {name: sum(calls[key] for key in keys) for name, keys in COUNTED.items()}
    busy = sum(x.self_device_time_total for x in kernels) / 1e6 / seconds if cuda else None
    longest = sorted(ms, key=lambda name: -ms[name])[:LONGEST]
    total = sum(ms.values())
    return dict(counts, seconds=seconds, busy=busy), [
        dict(op=name[:80], calls=calls[name], ms=ms[name], share=ms[name] / total) for name in longest
    ]


def operations_of_the_step(events: Sequence[Any]) -> list[Any]:
    """The events of the host that began within the step, in whatever thread: the backward pass has its own."""
    host = [x for x in events if str(x.device_type).endswith('CPU')]
    step = next(x.time_range for x in host if x.name == STEP)
    return [x for x in host if x.name != STEP and step.start <= x.time_range.start <= step.end]


def waiting_lines(run: Callable[[], object]) -> Counter[str]:
    """The lines at which the host waits for a GPU, with how often it does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    waits = [x for x in caught if 'synchroniz' in str(x.message)]
    return Counter(f'{x.filename}:{x.lineno}'.removeprefix(f'{ROOT}/') for x in waits)
