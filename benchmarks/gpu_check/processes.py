"""Two processes that train together on one device."""

import hashlib
import json
import math
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from mmengine.config import Config

from mask2former.apis.run_config import build_runner
from mask2former.data_tools.shapes import generate_shapes

from .settings import Settings, log_output, start_method
from .training import CONFIG

ITERATIONS = 3


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The training over NCCL, and over gloo where NCCL cannot."""
    data = settings.folder / 'processes/shapes'
    generate_shapes(data, num_train=8, num_val=1, size=(64, 64))
    row: dict = {}
    if settings.device != 'cpu':
        row = settings.measure(dict(backend='nccl'), train_together, settings, 'nccl', data)
        yield row
    if not row.get('works'):
        yield settings.measure(dict(backend='gloo'), train_together, settings, 'gloo', data)


def train_together(settings: Settings, backend: str, data: Path) -> dict[str, object]:
    """Train with two processes for at most half of the time that is left, and compare their weights.

    Raises:
        subprocess.TimeoutExpired: If that is not enough.
        RuntimeError: If a process fails, for another reason than that NCCL takes no two on one device.
    """
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port = listener.getsockname()[1]
    folder = settings.folder / f'processes/{backend}'
    folder.mkdir()
    context = start_method(settings.device)
    ranks = [context.Process(target=train_rank, args=(rank, backend, port, data, folder)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    seconds = max(0.0, settings.left() / 2)
    late = not wait_for(ranks, seconds)
    for rank in ranks:
        rank.kill()
        rank.join()
    if late:
        raise subprocess.TimeoutExpired('train_rank', seconds)
    if any(rank.exitcode for rank in ranks):
        logs = [(folder / f'{number}.log').read_text(errors='replace') for number in range(2)]
        reason = find_refusal('\n'.join(logs))
        if backend == 'nccl' and reason:
            return dict(works=False, reason=reason)
        last = '\n'.join(log[-2000:] for log in logs)
        raise RuntimeError(f'The ranks ended with {[rank.exitcode for rank in ranks]}:\n{last}')
    ends = [json.loads((folder / f'{number}.json').read_text()) for number in range(2)]
    losses = [end['loss'] for end in ends]
    equal = ends[0]['weights'] == ends[1]['weights']
    ok = equal and all(map(math.isfinite, losses))
    return dict(works=True, iterations=ITERATIONS, losses=losses, equal_weights=equal, ok=ok)


def wait_for(ranks: Sequence[BaseProcess], seconds: float) -> bool:
    """Wait until processes have ended or one has failed; whether that was within the time."""
    end = time.time() + seconds
    while time.time() < end and any(rank.is_alive() for rank in ranks):
        if any(rank.exitcode for rank in ranks):
            for rank in ranks:
                rank.join(5)  # of those that wait for it in vain, the ones that notice have something to say
            break
        time.sleep(0.1)
    return any(rank.exitcode for rank in ranks) or not any(rank.is_alive() for rank in ranks)


def find_refusal(log: str) -> str | None:
    """The line in which NCCL says that it takes no two processes on one device, if there is one."""
    lines = [line.strip() for line in log.splitlines()]
    return next((line for word in ('Duplicate GPU', 'ncclInvalidUsage') for line in lines if word in line), None)


def train_rank(rank: int, backend: str, port: int, data: Path, folder: Path) -> None:
    """In its own process: train, and note the loss and a hash of the weights."""
    log_output(folder / f'{rank}.log')
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), WORLD_SIZE='2', RANK=str(rank))
    os.environ['LOCAL_RANK'] = '0'  # the device's number, which both have
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(
        {
            'launcher': 'pytorch',
            'work_dir': str(folder / 'work'),
            'env_cfg.dist_cfg.backend': backend,
            'train_cfg.max_iters': ITERATIONS,
            'train_cfg.val_interval': ITERATIONS + 1,
            'train_dataloader.batch_size': 2,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.dataset.data_root': f'{data}/',
            'val_dataloader.dataset.data_root': f'{data}/',
            'default_hooks.logger.interval': 1,
        }
    )
    runner = build_runner(cfg)
    runner.train()
    weights = hashlib.sha256()
    for parameter in runner.model.parameters():
        weights.update(parameter.detach().cpu().numpy().tobytes())
    loss = float(runner.message_hub.get_scalar('train/loss').current())
    (folder / f'{rank}.json').write_text(json.dumps(dict(loss=loss, weights=weights.hexdigest())))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
