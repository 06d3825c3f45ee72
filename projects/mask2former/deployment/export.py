"""Writes a model as an ONNX file or as a program of torch.export, and sees that it computes the same."""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mask2former.errors import ConfigError, MissingPackageError, UserError

from .graph import RawGraph, by_gathers, example

FORMATS = {'onnx': '.onnx', 'torch-export': '.pt2'}
OUTPUTS = ('class_logits', 'mask_logits')
# Runs a file: images (B, 3, H, W) float32 to class and mask logits.
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def export(model: Any, path: Path, format: str, size: tuple[int, int]) -> float:
    """Write the file, run it, and compare its logits with the model's.

    The batch may be of any size; height and width are fixed.

    Args:
        model: A trained model of images, on the CPU, that :func:`~mask2former.apis.init_model` built.
        path: The file to write.
        format: A key of :data:`FORMATS`.
        size: (H, W) of its input, multiples of 32.

    Returns:
        float: The largest difference of a logit, relative to the largest logit of its kind.

    Raises:
        ConfigError: If the size or the model cannot be.
        MissingPackageError: If the format needs a package that is not installed.
        UserError: If the file computes something else.
    """
    divisor = getattr(model.data_preprocessor, 'size_divisor', 32)
    if any(side <= 0 or side % divisor for side in size):
        raise ConfigError(f'The size {size[0]}x{size[1]} must be of multiples of {divisor}.')
    graph = RawGraph(model).eval()
    image = example(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        with by_gathers(model):
            batch = torch.export.Dim('batch', min=1, max=256)
            program = torch.export.export(graph, (image,), dynamic_shapes=({0: batch},), strict=False)
            metadata = describe(model, size)
            if format == 'onnx':
                write_onnx(program, path, metadata)
            else:
                torch.export.save(program, path, extra_files={'mask2former.json': json.dumps(metadata)})
        expected = graph(image[:1])  # of another batch size than the one that was traced
    found = open_file(path)(image[:1].numpy())
    error = max(relative_difference(a, b) for a, b in zip(found, expected))
    if not error < 1e-3:
        raise UserError(
            f"'{path}' does not compute what the model does: logits differ by {error:.2g} of the largest one."
        )
    return error


def relative_difference(found: np.ndarray, expected: Tensor) -> float:
    """The largest difference, in parts of the largest value; NaN where one of them is not finite."""
    return float(np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max())


def describe(model: Any, size: tuple[int, int]) -> dict[str, Any]:
    """What a runtime has to know of the model beside its graph."""
    meta: Mapping = model.dataset_meta
    parts = {getattr(part, 'predicts', ''): part for part in model.postprocessors}
    panoptic, instance = parts.get('pred_panoptic_seg'), parts.get('pred_instances')
    return dict(
        size=list(size),
        pad_val=model.data_preprocessor.mean.flatten().tolist(),
        classes=list(meta['classes']),
        isthing=[bool(flag) for flag in meta['isthing']],
        palette=[list(map(int, color)) for color in meta.get('palette') or ()],
        category_ids=[int(number) for number in meta.get('category_ids') or ()],
        panoptic=panoptic and dict(score_thr=panoptic.score_thr, overlap_thr=panoptic.overlap_thr),
        instance=instance and dict(max_per_image=instance.max_per_image),
        semantic='pred_sem_seg' in parts,
        license=meta.get('license'),
    )


def write_onnx(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write an ONNX file with the metadata under the key ``mask2former``."""
    _need('onnx', 'onnxscript')
    file = torch.onnx.export(program, dynamo=True, input_names=['image'], output_names=list(OUTPUTS), verbose=False)
    assert file is not None
    file.model.metadata_props['mask2former'] = json.dumps(metadata)
    file.save(path)


def open_file(path: Path) -> Run:
    """What runs an exported file on the CPU; its ending says the format.

    Raises:
        ConfigError: If the ending is none of :data:`FORMATS`.
        MissingPackageError: If the format needs a package that is not installed.
    """
    if path.suffix == '.onnx':
        _need('onnxruntime')
        session = import_module('onnxruntime').InferenceSession(str(path), providers=['CPUExecutionProvider'])
        return lambda image: tuple(session.run(list(OUTPUTS), {'image': image}))
    if path.suffix == '.pt2':
        module = torch.export.load(path).module()

        @torch.no_grad()
        def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            class_logits, mask_logits = module(torch.from_numpy(image))
            return class_logits.numpy(), mask_logits.numpy()

        return run
    raise ConfigError(f"'{path}' must end with {' or '.join(FORMATS.values())}.")


def _need(*packages: str) -> None:
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise MissingPackageError(f'ONNX files need the package {package}: pip install {package}.') from None
