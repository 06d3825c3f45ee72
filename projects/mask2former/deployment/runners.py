"""Runs exported files on the CPU."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mask2former.errors import ConfigError, MissingFileError, MissingPackageError

FORMATS = {'onnx': '.onnx', 'openvino': '.xml', 'torch-export': '.pt2', 'aoti': '.aoti.pt2'}
# Maps an image, or a batch of them, to the file's outputs, in their order.
Run = Callable[[np.ndarray], tuple[np.ndarray, ...]]


def format_of(path: Path) -> str:
    """The format of a file by its ending, a key of :data:`FORMATS`.

    Raises:
        ConfigError: If the ending is of none.
    """
    fitting = [name for name, ending in FORMATS.items() if path.name.endswith(ending)]
    if not fitting:
        raise ConfigError(f"'{path}' must end with {' or '.join(FORMATS.values())}.")
    return max(fitting, key=lambda name: len(FORMATS[name]))


def check_ending(path: Path, format: str) -> None:
    """See that a file has the ending of a format.

    Raises:
        ConfigError: If it has another one.
    """
    ending = FORMATS[format]
    if not path.name.endswith(ending) or format_of(path) != format:
        raise ConfigError(f"The file '{path}' must end with {ending} for the format {format}, and not as another's.")


def open_file(path: Path) -> Run:
    """What runs an exported file, in float32 where its numbers have that type; its ending says the format.

    A file of the format aoti is machine code, which runs when it is opened: open none that you do not trust.

    Raises:
        ConfigError: If the ending is none of :data:`FORMATS`.
        MissingPackageError: If the format needs a package that is not installed.
    """
    format = format_of(path)
    if format == 'onnx':
        need('onnxruntime')
        session = import_module('onnxruntime').InferenceSession(str(path), providers=['CPUExecutionProvider'])
        return lambda image: tuple(session.run(None, {'image': image}))
    if format == 'openvino':
        need('openvino')
        # Without the hint, processors that can compute in bfloat16 would.
        model = import_module('openvino').Core().compile_model(str(path), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        return lambda image: tuple(value.copy() for value in model({'image': image}).values())
    import torch

    module = _aoti_package(path) if format == 'aoti' else torch.export.load(path).module()

    @torch.no_grad()
    def run(image: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(value.numpy() for value in module(torch.from_numpy(image)))

    return run


def _aoti_package(path: Path) -> Any:
    # torch says nothing of the file where there is none.
    if not path.is_file():
        raise MissingFileError(f"There is no file '{path}'.")
    return import_module('torch._inductor').aoti_load_package(str(path))


def read_metadata(path: Path) -> dict[str, Any]:
    """What an exported file says of itself, see :func:`~mask2former.deployment.export.describe`."""
    format = format_of(path)
    if format == 'onnx':
        properties = import_module('onnx').load(str(path), load_external_data=False).metadata_props
        return json.loads({entry.key: entry.value for entry in properties}['mask2former'])
    if format == 'openvino':
        return json.loads(import_module('openvino').Core().read_model(str(path)).get_rt_info('mask2former').value)
    if format == 'aoti':
        return json.loads(_aoti_package(path).get_metadata()['mask2former'])
    import torch

    extra = {'mask2former.json': ''}
    torch.export.load(path, extra_files=extra)
    return json.loads(extra['mask2former.json'])


def need(*packages: str) -> None:
    """See that optional packages are there.

    Raises:
        MissingPackageError: If one is not installed.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise MissingPackageError(f'This format needs the package {package}: pip install {package}.') from None
