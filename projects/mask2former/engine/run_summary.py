"""What is trained, validated or tested on what, in a few lines."""

import os
from pathlib import Path

import torch
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader, Dataset

from .unwrap import unwrap_model


def run_summary(runner: Runner) -> str:
    """Describe a run whose loops are built: a heading, and lines of a name and a value."""
    training, testing = (isinstance(loop, BaseLoop) for loop in (runner._train_loop, runner._test_loop))
    loader = runner.test_dataloader if testing else runner.train_dataloader if training else runner.val_dataloader
    rows = {'config': shown_path(runner.cfg.filename)} if runner.cfg.filename else {}
    rows |= {'model': _model(runner), 'data': _data(loader.dataset)}
    if training and not testing and isinstance(runner._val_loop, BaseLoop):
        rows['validation'] = f'{_data(runner.val_dataloader.dataset)}, every {runner.val_interval} iterations'
    rows['device'] = _device(runner)
    rows['batch'] = _batch(runner, loader)
    if training and not testing:
        images = runner.max_iters * (images_per_batch(loader) or 1) * runner.world_size
        rows['iterations'] = f'{runner.max_iters}, or {images / max(1, len(loader.dataset)):.3g} epochs'
    elif runner._load_from:
        rows['checkpoint'] = shown_path(runner._load_from)
    rows['work dir'] = shown_path(runner.work_dir)
    rows['log file'] = shown_path(runner.logger.log_file or '-')
    heading = 'Testing' if testing else 'Training' if training else 'Validating'
    return '\n'.join([heading, *(f'  {name:<12}{value}' for name, value in rows.items())])


def shown_path(path: str) -> str:
    """A path as it is typed in the current folder, if it lies there."""
    if '://' in path or not os.path.isabs(path) or not Path(path).is_relative_to(Path.cwd()):
        return path
    return os.path.relpath(path)


def _model(runner: Runner) -> str:
    model = unwrap_model(runner.model)
    count = sum(parameter.numel() for parameter in model.parameters())
    parts = [type(getattr(model, name)).__name__ for name in ('backbone',) if hasattr(model, name)]
    return f'{", ".join([type(model).__name__, *parts])}, {count / 1e6:.1f} M parameters'


def _data(dataset: Dataset) -> str:
    metainfo = getattr(dataset, 'metainfo', {})
    classes, is_thing = metainfo.get('classes') or (), metainfo.get('isthing')
    kinds = ''
    if is_thing is not None:
        kinds = f' ({_count(sum(is_thing), "thing", "things")}, {len(is_thing) - sum(is_thing)} stuff)'
    file = getattr(dataset, 'ann_file', '') or (getattr(dataset, 'data_prefix', None) or {}).get('img', '')
    where = f'{shown_path(os.path.abspath(file))}: ' if file else ''
    items = _count(len(dataset), *_nouns(dataset))  # type: ignore[arg-type]
    return f'{where}{items}, {_count(len(classes), "class", "classes")}{kinds}'


def _nouns(dataset: Dataset) -> tuple[str, str]:
    """What an item of a data set is, one and several."""
    return ('video', 'videos') if getattr(dataset, 'form', None) == 'video' else ('image', 'images')


def _count(number: int, one: str, more: str) -> str:
    return f'{number} {one if number == 1 else more}'


def _device(runner: Runner) -> str:
    device = next((parameter.device for parameter in runner.model.parameters()), torch.device('cpu'))
    cpu = f'CPU, {_count(torch.get_num_threads(), "thread", "threads")}'
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu
    return name if runner.world_size == 1 else f'{runner.world_size} processes, each on: {name}'


def images_per_batch(loader: DataLoader) -> int | None:
    """The images of a batch in one process; None where neither dataloader nor batch sampler says it."""
    # A dataloader with a batch sampler of its own has no batch size.
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None)


def _batch(runner: Runner, loader: DataLoader) -> str:
    size = images_per_batch(loader) or 1
    nouns = _nouns(loader.dataset)
    if runner.world_size == 1:
        return _count(size, *nouns)
    return f'{size * runner.world_size} {nouns[1]}, {size} in each of {runner.world_size} processes'
