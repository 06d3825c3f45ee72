"""What an exported ONNX file says of itself."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from mask2former.errors import DataError, MissingFileError, MissingPackageError


class Value(NamedTuple):
    """An input or an output.

    Attributes:
        name: As runtimes call it.
        type: ONNX's name of the type of its numbers, such as ``FLOAT``.
        shape: Its sizes; -1 is any.
    """

    name: str
    type: str
    shape: tuple[int, ...]


class OnnxFile(NamedTuple):
    """What a file says.

    Attributes:
        path: The file.
        meta: The metadata ``mask2former``.
        inputs: In the graph's order.
        outputs: In the graph's order.
    """

    path: Path
    meta: dict[str, Any]
    inputs: list[Value]
    outputs: list[Value]


def read_onnx_file(path: Path) -> OnnxFile:
    """Read what a file says; its weights are not looked at.

    Raises:
        MissingFileError: If there is no such file.
        MissingPackageError: If the package onnx is not installed.
        DataError: If it is no ONNX file, or another's.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no file '{path}': write one with `mask2former export`.")
    try:
        onnx = import_module('onnx')
    except ImportError:
        raise MissingPackageError('ONNX files need the package onnx: pip install onnx.') from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf raises what it likes
        raise DataError(f"'{path}' is no ONNX file: write one with `mask2former export`.") from None
    said = {entry.key: entry.value for entry in model.metadata_props}.get('mask2former')
    if said is None:
        raise DataError(f"'{path}' does not say what it is: write it with `mask2former export`.")

    def values(entries: Any) -> list[Value]:
        return [
            Value(
                entry.name,
                onnx.TensorProto.DataType.Name(entry.type.tensor_type.elem_type),
                tuple(dim.dim_value or -1 for dim in entry.type.tensor_type.shape.dim),
            )
            for entry in entries
        ]

    return OnnxFile(path, json.loads(said), values(model.graph.input), values(model.graph.output))
