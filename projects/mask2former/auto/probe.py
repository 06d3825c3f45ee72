"""Measures what a training step and a test image cost on this machine, and which batch fits into its memory."""

import os
import resource
import time
from collections.abc import Sequence
from itertools import islice

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mask2former.apis.build import scope_of
from mask2former.datasets import config_metainfo
from mask2former.engine.out_of_memory import ran_out_of_memory
from mask2former.errors import OutOfMemoryError
from mask2former.registry import DATASETS, MODELS

from .choices import Costs, Machine

_STEPS = 3  # measured, after as many to warm up
_MEMORY_SHARE = 0.7  # of a CPU's memory, which the process may take


def probe(cfg: Config, batch_sizes: Sequence[int], machine: Machine) -> Costs:
    """Train a few steps with random weights, and test an image.

    Args:
        cfg: The config of the training, whose batch size does not count.
        batch_sizes: Those to try, the largest first.
        machine: Where.

    Returns:
        Costs: With the first batch size that the memory holds.

    Raises:
        OutOfMemoryError: If it holds none.
    """
    with scope_of(cfg):
        metainfo = config_metainfo(cfg)
        for size in batch_sizes:
            model = MODELS.build(dict(cfg.model, metainfo=metainfo)).to(machine.device)
            step = _time_steps(model, cfg, size, machine)
            if step is not None:
                return Costs(step, _time_test(model, cfg, machine), size)
    width, height = cfg.crop
    raise OutOfMemoryError(
        f'A training step with {batch_sizes[-1]} of {width} x {height} pixels needs more memory than there is: give a '
        'smaller --size.'
    )


def _time_steps(model: BaseModel, cfg: Config, batch_size: int, machine: Machine) -> float | None:
    """Seconds of a training step, the median; None where the memory is too small."""
    loader = Runner.build_dataloader(
        dict(cfg.train_dataloader, batch_size=batch_size, num_workers=0, persistent_workers=False)
    )
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-6))
    model.train()
    seconds = []
    try:
        for batch in islice(loader, 2 * _STEPS):
            start = _now(machine)
            model.train_step(batch, optimizer)
            seconds.append(_now(machine) - start)
            if not machine.has_gpu and _peak_memory() > _MEMORY_SHARE * _memory():
                return None
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        return None
    return sorted(seconds[_STEPS:])[_STEPS // 2]


def _time_test(model: BaseModel, cfg: Config, machine: Machine) -> float:
    """Seconds of a test image, the mean."""
    data = DATASETS.build(dict(cfg.test_dataloader.dataset))
    model.eval()
    count = min(_STEPS, len(data))
    with torch.no_grad():
        model.test_step(pseudo_collate([data[0]]))
        start = _now(machine)
        for index in range(count):
            model.test_step(pseudo_collate([data[index]]))
    return (_now(machine) - start) / count


def _now(machine: Machine) -> float:
    if machine.has_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


def _memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def _peak_memory() -> int:
    """Bytes that this process has taken at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
