"""The exported file in other runtimes: logits beside PyTorch's on the CPU, and time."""

import os
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.common import spread, synchronize
from benchmarks.scene import OURS, Scene, agrees, logit_errors
from mask2former.deployment.export import OUTPUTS, export
from mask2former.deployment.graph import RawGraph, example
from mask2former.deployment.torch_tensorrt import compile_with_tensorrt
from mask2former.errors import MissingPackageError

from .settings import Settings
from .steps import make_spec

BUILD_SECONDS = 60  # of an engine, at least
Logits = tuple[Tensor, Tensor]
Run = Callable[[Tensor], Logits]  # of an image on the device


class Exported(NamedTuple):
    """What all runtimes are given.

    Attributes:
        model: On the CPU, in float32.
        path: Of the ONNX file; None where it was not asked for.
        image: (1, 3, H, W) float32 from 0 to 255.
        expected: The logits that PyTorch computes on the CPU.
    """

    model: Any
    path: Path | None
    image: Tensor
    expected: list[Tensor]


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The runtimes of a package."""
    os.environ['NVIDIA_TF32_OVERRIDE'] = '0'  # before CUDA is begun with, in this process of its own
    if part != 'onnxruntime' and settings.device == 'cpu':
        yield dict(runtime=part, absent='needs a CUDA device')
        return
    openers = _providers(settings.device) if part == 'onnxruntime' else {part: _OPENERS[part]}
    for name in [name for name, opener in openers.items() if opener is None]:
        yield dict(runtime=name, absent='is not in this build of onnxruntime')
    if not any(openers.values()):
        return
    if settings.left() <= 0:
        yield settings.measure(dict(runtime=part), dict)
        return
    try:
        exported = prepare(settings, onnx=part != 'torch_tensorrt')
    except MissingPackageError as error:
        yield dict(runtime=part, absent=str(error))
        return
    needs = 0 if settings.small else BUILD_SECONDS
    for name, opener in openers.items():
        if opener is not None:
            yield settings.measure(dict(runtime=name), compare, exported, opener, settings, needs=needs)


def prepare(settings: Settings, onnx: bool) -> Exported:
    """A model of R50 with random weights, and its file.

    Raises:
        MissingPackageError: If a package that writes the file is not installed.
    """
    side = 64 if settings.small else 512
    options = {'model.pixel_decoder.num_layers': 1, 'model.head.num_layers': 1} if settings.small else {}
    scene = Scene(dict(make_spec(settings, 'r50', 'train', side, 1), device='cpu', cfg_options=options))
    model: Any = scene.contestant(OURS, scene.common_weights()[0]).model.eval()
    model.dataset_meta = scene.metainfo
    path = settings.folder / 'runtimes' / 'model.onnx' if onnx else None
    if path is not None and not path.exists():
        export(model, path, 'onnx', (side, side))
    image = example((side, side), 1)
    with torch.no_grad():
        expected = list(RawGraph(model).eval()(image))
    return Exported(model, path, image, expected)


def compare(exported: Exported, opener: Callable[[Exported], Run], settings: Settings) -> dict[str, object]:
    """Seconds to open, milliseconds of a run, and the errors of the logits."""
    device = torch.device(settings.device)
    start = time.perf_counter()
    run = opener(exported)
    image = exported.image.to(device)
    errors = logit_errors(run(image), exported.expected)
    opened = time.perf_counter() - start
    times = []
    for _ in range(3 if settings.small else 30):
        synchronize(device)
        begin = time.perf_counter()
        run(image)
        synchronize(device)
        times.append(1000 * (time.perf_counter() - begin))
    return dict(
        {f'{key}_ms': value for key, value in spread(times).items()}, opened=opened, **errors, ok=agrees(errors)
    )


def _providers(device: str) -> dict[str, Callable[[Exported], Run] | None]:
    """By name those of onnxruntime that belong to a device; None is one that is not there."""
    available = import_module('onnxruntime').get_available_providers()
    wanted = ['CPUExecutionProvider'] if device == 'cpu' else ['CUDAExecutionProvider', 'TensorrtExecutionProvider']
    return {f'onnxruntime {name}': _with_provider(name) if name in available else None for name in wanted}


def _with_provider(name: str) -> Callable[[Exported], Run]:
    def opener(exported: Exported) -> Run:
        session = import_module('onnxruntime').InferenceSession(str(exported.path), providers=[name])
        if name not in session.get_providers():  # it goes on with the CPU then
            raise RuntimeError(f'onnxruntime cannot load {name}: its log says why.')

        def run(image: Tensor) -> Logits:
            class_logits, mask_logits = session.run(list(OUTPUTS), {'image': image.cpu().numpy()})
            return torch.from_numpy(class_logits), torch.from_numpy(mask_logits)

        return run

    return opener


def _tensorrt(exported: Exported) -> Run:
    """An engine of the ONNX file, by TensorRT's parser."""
    trt = import_module('tensorrt')
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(exported.path)):
        raise RuntimeError('; '.join(str(parser.get_error(index)) for index in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape('image', *[tuple(exported.image.shape)] * 3)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError('TensorRT built no engine: its log says why.')
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    logits = [torch.empty(expected.shape, device='cuda') for expected in exported.expected]
    stream = torch.cuda.Stream()

    def run(image: Tensor) -> Logits:
        context.set_input_shape('image', tuple(image.shape))
        for name, tensor in zip(('image', *OUTPUTS), (image, *logits)):
            context.set_tensor_address(name, tensor.data_ptr())
        stream.wait_stream(torch.cuda.current_stream())
        if not context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError('TensorRT did not run the engine: its log says why.')
        stream.synchronize()
        return logits[0], logits[1]

    return run


def _torch_tensorrt(exported: Exported) -> Run:
    size = exported.image.shape[-2], exported.image.shape[-1]
    compiled = compile_with_tensorrt(exported.model.cuda(), size)

    def run(image: Tensor) -> Logits:
        with torch.no_grad():
            class_logits, mask_logits = compiled(image)
        return class_logits, mask_logits

    return run


_OPENERS: dict[str, Callable[[Exported], Run]] = dict(tensorrt=_tensorrt, torch_tensorrt=_torch_tensorrt)
