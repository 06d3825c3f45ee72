"""Smaller numbers in ONNX graphs."""

from importlib import import_module
from typing import Any

# Of each format. In OpenVINO's fp16 the weights are halves, and processors compute in float32.
PRECISIONS = {
    'onnx': ('fp32', 'fp16', 'int8'),
    'openvino': ('fp32', 'fp16', 'int8'),
    'torch-export': ('fp32',),
    'aoti': ('fp32',),
}
SCOPES = 'pkg.torch.onnx.class_hierarchy'


def to_half(proto: Any) -> Any:
    """An ONNX model (``ModelProto``) in half precision, with float32 inputs and outputs.

    Where deformable attention samples stays in float32, as it does under autocast: halves are too coarse for places.
    """
    float16 = import_module('onnxruntime.transformers.float16')
    exact = [node.name for node in proto.graph.node if _samples(node)]
    return float16.convert_float_to_float16(proto, keep_io_types=True, node_block_list=exact)


def _samples(node: Any) -> bool:
    scopes = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES, '')
    return "MSDeformAttn'" in scopes and node.op_type != 'MatMul'
