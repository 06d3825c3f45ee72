"""Checkpoints of whole models for mmengine: any format and any address, under the scheme ``checkpoint://``."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from .formats import convert_raw, recognise
from .loading import explain_unreadable
from .names import HUB, find_checkpoint
from .reading import RawCheckpoint, read_raw

PREFIX = 'checkpoint://'


def read_any(address: str | Path) -> dict:
    """The weights of a checkpoint of any format, from anywhere, as mmengine has them.

    Weights with our names, and those of models that are not known here, are given as they are: whether they fit the
    model is seen when they are loaded. Everything else is converted, which is logged.

    Args:
        address (str | Path): A path, ``http(s)://...``, ``hf://owner/name``, the name of a published model, or another
            address that mmengine knows.

    Returns:
        dict: ``state_dict`` and ``meta``.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it is no checkpoint, is damaged or incomplete, or could run code.
    """
    address = str(address).removeprefix(PREFIX)
    if '://' in address and not address.startswith((HUB, 'http://', 'https://')):
        with explain_unreadable(address):
            content = CheckpointLoader.load_checkpoint(address, map_location='cpu')
        raw = RawCheckpoint(dict(content.get('state_dict', content)), dict(content.get('meta') or {}), {})
    else:
        raw = read_raw(find_checkpoint(address))
    state, meta = raw.state, raw.meta
    if recognise(state) not in (None, 'mask2former'):
        state, meta, report = convert_raw(raw, address)
        print_log(f"'{address}' is converted. {report}", logger='current')
    return dict(state_dict=state, meta=_with_tuples(meta))


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_any(filename: str, map_location: str | torch.device | None = None) -> dict:
    """What mmengine calls for ``checkpoint://...``; see :func:`read_any`."""
    checkpoint = read_any(filename)
    if map_location is not None:
        checkpoint['state_dict'] = {name: value.to(map_location) for name, value in checkpoint['state_dict'].items()}
    return checkpoint


def loadable(address: str) -> str:
    """An address from which mmengine loads this checkpoint with our names.

    It is the address itself where mmengine can do so alone: a file that is absent (which it says), or with our names.
    """
    path = Path(address).expanduser()
    if address.startswith(PREFIX):
        return address
    if path.suffix != '.pth' or '://' in address or path.is_dir():
        return PREFIX + address
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))
        ours = recognise(content.get('state_dict', content)) in (None, 'mask2former')
    except Exception:  # whatever is wrong with it, its reader says it
        ours = True
    return address if ours else PREFIX + address


def _with_tuples(meta: Mapping) -> dict:
    """``meta`` as mmengine has it, also from a file that knows lists only."""
    data = meta.get('dataset_meta')
    if not isinstance(data, Mapping):
        return dict(meta)
    data = {
        key: [tuple(colour) for colour in value]
        if key == 'palette' and value
        else tuple(value)
        if isinstance(value, list)
        else value
        for key, value in data.items()
    }
    return dict(meta, dataset_meta=data)
