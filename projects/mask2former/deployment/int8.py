"""ONNX graphs whose linear layers and convolutions compute in 8 bits, with ranges that training images have shown."""

import ast
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SCOPES = 'pkg.torch.onnx.name_scopes'
OPERATORS = ('Conv', 'MatMul', 'Gemm')


class Calibration(NamedTuple):
    """What quantising needs to know.

    Attributes:
        images: Inputs (1, 3, H, W) float32 that show the ranges of the activations.
        keep: Modules of the model whose layers stay in float32, such as ``backbone.stem`` or ``head``.
    """

    images: Sequence[np.ndarray]
    keep: Sequence[str] = ()


def to_int8(proto: Any, calibration: Calibration) -> Any:
    """Quantise what multiplies with weights: weights by output channel, symmetric; activations by tensor, in 8 bits.

    Quantised values stand between QuantizeLinear and DequantizeLinear, which runtimes fuse into 8-bit operators.

    Args:
        proto: An ONNX model (``ModelProto``) of :func:`torch.onnx.export`, whose nodes say which module they come from.
        calibration: Images, and what is left out.

    Returns:
        The quantised ``ModelProto``.
    """
    onnx, quantization = import_module('onnx'), import_module('onnxruntime.quantization')
    shape_inference = import_module('onnxruntime.quantization.shape_inference')
    modules = {node.name: module_of(node) for node in proto.graph.node}
    kept = tuple(f'{name}.' for name in calibration.keep)
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, quantised = (str(Path(folder) / f'{name}.onnx') for name in ('plain', 'prepared', 'quantised'))
        onnx.save(proto, plain)
        shape_inference.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        weights = {weight.name for weight in graph.initializer}
        nodes = [
            node.name
            for node in graph.node
            if node.op_type in OPERATORS
            and node.input[1] in weights
            # A node that was fused with the next one has a longer name.
            and not f'{modules.get(node.name.split("/")[0], "")}.'.startswith(kept)
        ]
        quantization.quantize_static(
            prepared,
            quantised,
            _reader(calibration.images),
            nodes_to_quantize=nodes,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(quantised)


def module_of(node: Any) -> str:
    """The module of the model that a node comes from, such as ``head.layers.0.ffn``."""
    said = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES, '[]')
    return next((name for name in ast.literal_eval(said)[-2::-1] if name), '').removeprefix('model.')


def _reader(images: Sequence[np.ndarray]) -> Any:
    class Reader(import_module('onnxruntime.quantization').CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else dict(image=image)

    return Reader()
