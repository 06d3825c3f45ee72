"""Writes a model as a file for other runtimes, and sees that it computes the same."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mask2former.errors import ConfigError, MissingPackageError, UserError

from .graph import RawGraph, example, exportable, free_sizes
from .int8 import Calibration, to_int8
from .precision import PRECISIONS, to_half
from .preparation import Size, check_size, describe, multiple, step_of
from .runners import check_ending, need, open_file

OUTPUTS = ('class_logits', 'mask_logits')
# The most that a logit may differ, in parts of the largest one. Rounding takes some values of masked attention over
# their threshold, so that the bounds of less than float32 only tell a wrong graph from a right one.
BOUNDS = {'fp32': 1e-3, 'fp16': 0.5, 'int8': 1.0}


def export(
    model: Any, path: Path, format: str, size: Size, precision: str = 'fp32', calibration: Calibration | None = None
) -> float:
    """Write the file, run it, and compare its logits with the model's.

    The batch may be of any size.

    Args:
        model: A trained model of images, on the CPU, that :func:`~mask2former.apis.init_model` built.
        path: The file to write; OpenVINO's has another one with the ending ``.bin`` beside it.
        format: A key of :data:`FORMATS`.
        size: (H, W) of its input, multiples of 32; None leaves them free.
        precision: One of :data:`PRECISIONS` of the format.
        calibration: What int8 needs.

    Returns:
        float: The largest difference of a logit, relative to the largest logit of its kind.

    Raises:
        ConfigError: If the size, the model or the precision cannot be.
        MissingPackageError: If the format needs a package that is not installed.
        UserError: If the file computes something else.
    """
    check_size(model, size)
    step = step_of(model)
    if precision not in PRECISIONS[format]:
        raise ConfigError(f'The format {format} has the precisions {", ".join(PRECISIONS[format])}, not {precision}.')
    if (precision == 'int8') != bool(calibration and calibration.images):
        raise ConfigError('int8 needs images that show the ranges of its numbers; other precisions need none.')
    for name in calibration.keep if calibration else ():
        if name not in dict(model.named_modules()):
            parts = ', '.join(name for name, _ in model.named_children())
            raise ConfigError(
                f"The model has no part '{name}' to keep in float32: name one of {parts}, or inside of one."
            )
    check_ending(path, format)
    if format in ('onnx', 'openvino'):
        need('onnx', 'onnxscript', 'onnxruntime', *(['openvino'] if format == 'openvino' else []))
    program = trace(model, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = describe(model, size, precision)
    with torch.no_grad(), exportable(model):
        if format == 'torch-export':
            torch.export.save(program, path, extra_files={'mask2former.json': json.dumps(metadata)})
        elif format == 'aoti':
            write_aoti(program, path, metadata)
        elif format == 'onnx':
            write_onnx(program, path, metadata, precision, calibration)
        else:
            write_openvino(program, path, metadata, precision, calibration)
        # Of another size than the one that was traced; noise would be beyond what images have shown.
        if calibration:
            image = torch.from_numpy(calibration.images[0])
        else:
            image = example(size or (multiple(123, step), multiple(95, step)), 1)
        expected = RawGraph(model).eval()(image)
    found = open_file(path)(image.numpy())
    error = max(relative_difference(a, b) for a, b in zip(found, expected))
    if not error < BOUNDS[precision]:
        raise UserError(
            f"'{path}' does not compute what the model does: logits differ by {error:.2g} of the largest one."
        )
    return error


@torch.no_grad()
def trace(model: nn.Module, size: Size) -> torch.export.ExportedProgram:
    """The operations of a model, at sizes that are fixed or free as those of :func:`export`."""
    step = step_of(model)
    # Of sides of which no feature has one pixel, or one of Swin's windows: ones would be taken for constants.
    image = example(size or (multiple(416, step), multiple(800, step)))
    free = free_sizes(None if size else step)
    with exportable(model):
        return torch.export.export(RawGraph(model).eval(), (image,), dynamic_shapes=(free,), strict=False)


def relative_difference(found: np.ndarray, expected: Tensor) -> float:
    """The largest difference, in parts of the largest value; NaN where one of them is not finite."""
    return float(np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max())


def write_aoti(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    """Compile for this processor, with the metadata under the key ``mask2former``; takes a C++ compiler, and minutes.

    Raises:
        MissingPackageError: If there is no compiler.
    """
    if not any(shutil.which(name) for name in (os.environ.get('CXX', 'g++'), 'g++', 'clang++')):
        raise MissingPackageError('The format aoti needs a C++ compiler: install g++, or set CXX to one.')
    compile_package = import_module('torch._inductor').aoti_compile_and_package
    options = {'aot_inductor.metadata': {'mask2former': json.dumps(metadata)}}
    compile_package(program, package_path=str(path), inductor_configs=options)


def translate(program: torch.export.ExportedProgram, outputs: Sequence[str] = OUTPUTS) -> Any:
    """The program as an ``onnx.ModelProto`` with these names of its outputs."""
    file = torch.onnx.export(program, dynamo=True, input_names=['image'], output_names=list(outputs), verbose=False)
    assert file is not None
    return file.model_proto


def write_onnx(
    program: torch.export.ExportedProgram,
    path: Path,
    metadata: Mapping[str, Any],
    precision: str,
    calibration: Calibration | None = None,
) -> None:
    """Write an ONNX file with the metadata under the key ``mask2former``."""
    proto = translate(program)
    if precision == 'fp16':
        proto = to_half(proto)
    elif calibration:
        proto = to_int8(proto, calibration)
    for node in proto.graph.node:
        del node.metadata_props[:]  # source files of this computer
    proto.metadata_props.add(key='mask2former', value=json.dumps(metadata))
    import_module('onnx').save(proto, str(path))


def write_openvino(
    program: torch.export.ExportedProgram,
    path: Path,
    metadata: Mapping[str, Any],
    precision: str,
    calibration: Calibration | None,
) -> None:
    """Write OpenVINO's two files with the metadata as the runtime information ``mask2former``."""
    openvino = import_module('openvino')
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / 'model.onnx'
        # OpenVINO itself makes halves of weights.
        write_onnx(program, onnx, metadata, 'fp32' if precision == 'fp16' else precision, calibration)
        model = openvino.convert_model(str(onnx))
        model.set_rt_info(json.dumps(metadata), 'mask2former')
        openvino.save_model(model, str(path), compress_to_fp16=precision == 'fp16')
