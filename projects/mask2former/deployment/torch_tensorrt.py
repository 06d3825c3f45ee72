"""A model compiled by Torch-TensorRT, for NVIDIA's GPUs. It was never run: there was no GPU."""

from importlib import import_module
from typing import Any

import torch
from torch import nn

from mask2former.errors import ConfigError, MissingPackageError

from .graph import RawGraph, example, exportable


def compile_with_tensorrt(model: Any, size: tuple[int, int], batch_size: int = 1) -> nn.Module:
    """Compile what a model computes, in float32 without TF32.

    Args:
        model: A trained model of images, on a CUDA device.
        size: (H, W) of its input, multiples of 32.
        batch_size: Of its input; another one is another compilation.

    Returns:
        nn.Module: From pixels (B, 3, H, W) float32 on the device, as :class:`~mask2former.deployment.graph.RawGraph`
        takes them, to class logits (B, Q, K + 1) and mask logits (B, Q, H/4, W/4).

    Raises:
        ConfigError: If the model is not on a CUDA device, or none that is exported.
        MissingPackageError: If torch_tensorrt is not installed.
    """
    graph = RawGraph(model).eval()
    if graph.mean.device.type != 'cuda':
        raise ConfigError(f'TensorRT needs a model on a CUDA device, but this one is on {graph.mean.device}.')
    try:
        torch_tensorrt = import_module('torch_tensorrt')
    except ImportError:
        raise MissingPackageError(
            'Compiling for TensorRT needs torch_tensorrt, in the version of your torch: pip install torch-tensorrt.'
        ) from None
    image = example(size, batch_size).to(graph.mean.device)
    with torch.no_grad(), exportable(model):
        program = torch.export.export(graph, (image,), strict=False)
    return torch_tensorrt.dynamo.compile(program, arg_inputs=(image,), disable_tf32=True)
