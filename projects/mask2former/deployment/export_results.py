"""Writes an ONNX file that takes a photograph of any size and gives its results."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mask2former.errors import UserError

from .export import translate
from .graph import exportable
from .preparation import check_size, describe
from .results_graph import ResultsGraph
from .runners import need, open_file

# Pixels of a map that may differ: sums of another order decide a tie at a border differently.
BOUND = 0.01


def export_results(model: Any, path: Path, size: tuple[int, int]) -> float:
    """Write the file, run it, and compare its results with the model's.

    Its input ``image`` is (h, w, 3) uint8 RGB; its outputs are those of :class:`ResultsGraph`.

    Args:
        model: A trained model of images, on the CPU, that :func:`~mask2former.apis.init_model` built.
        path: The file to write, which ends with .onnx.
        size: (H, W) that photographs are scaled into, multiples of 32.

    Returns:
        float: The largest share of a map's pixels that differ, of noise; 0 where there is no map.

    Raises:
        ConfigError: If the size or the model cannot be.
        MissingPackageError: If a package is not installed.
        UserError: If the file computes something else.
    """
    check_size(model, size)
    need('onnx', 'onnxscript', 'onnxruntime')
    graph = ResultsGraph(model, size).eval()
    traced, other = (_noise(shape) for shape in ((size[0] + 7, size[1] + 21), (size[0] // 2 + 5, size[1] - 3)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), exportable(model):
        free = tuple(torch.export.Dim(name, min=2, max=2**15) for name in ('height', 'width'))
        program = torch.export.export(graph, (traced,), dynamic_shapes=(dict(enumerate(free)),), strict=False)
        proto = translate(program, graph.outputs)
        expected = graph(other)
    for node in proto.graph.node:
        del node.metadata_props[:]  # source files of this computer
    metadata = describe(model, size) | dict(results=list(graph.outputs))
    proto.metadata_props.add(key='mask2former', value=json.dumps(metadata))
    import_module('onnx').save(proto, str(path))

    found = dict(zip(graph.outputs, open_file(path)(other.numpy())))
    maps = [
        float((found[name] != value.numpy()).mean())
        for name, value in zip(graph.outputs, expected)
        if name in ('panoptic', 'semantic')
    ]
    if any(share > BOUND for share in maps):
        raise UserError(
            f"'{path}' does not give what the model does: {100 * max(maps):.2g} % of a map's pixels differ."
        )
    return max(maps, default=0.0)


def _noise(shape: tuple[int, int]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
