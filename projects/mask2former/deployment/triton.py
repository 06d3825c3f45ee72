"""Write a model repository for NVIDIA's Triton Inference Server with an exported ONNX file."""

import argparse
import json
import re
from pathlib import Path

from mask2former.errors import ConfigError, DataError
from mask2former.formats.files import link_or_copy, write_text

from .onnx_file import OnnxFile, Value, read_onnx_file

# ONNX's names of types to those of Triton's model configuration.
TYPES = dict(FLOAT='TYPE_FP32', FLOAT16='TYPE_FP16', UINT8='TYPE_UINT8', INT32='TYPE_INT32', INT64='TYPE_INT64')


def model_config(file: OnnxFile, name: str, batch: int, wait_ms: float, waiting: int) -> str:
    """The text of config.pbtxt.

    Args:
        file: The model.
        name: What clients call it.
        batch: Most images that it sees at once.
        wait_ms: Milliseconds that a request waits for others.
        waiting: Most requests that wait; beyond them Triton refuses.

    Raises:
        DataError: If the file has a type of numbers that is not known here.
    """
    values = [*file.inputs, *file.outputs]
    batched = all(value.shape and value.shape[0] == -1 for value in values)
    lines = [f'name: {_quoted(name)}', 'backend: "onnxruntime"', f'max_batch_size: {batch if batched else 0}']
    for kind, entries in (('input', file.inputs), ('output', file.outputs)):
        lines += [_tensor(kind, value, batched) for value in entries]
    if batched:
        lines += [
            'dynamic_batching {',
            f'  max_queue_delay_microseconds: {round(1000 * wait_ms)}',
            f'  default_queue_policy {{ max_queue_size: {waiting} }}',
            '}',
        ]
    meta = json.dumps(file.meta)
    lines.append(f'parameters {{ key: "mask2former" value {{ string_value: {_quoted(meta)} }} }}')
    return '\n'.join(lines) + '\n'


def _tensor(kind: str, value: Value, batched: bool) -> str:
    if value.type not in TYPES:
        raise DataError(
            f'{value.name} has the type {value.type}, which is none of {", ".join(TYPES)}: export it again.'
        )
    dims = ', '.join(map(str, value.shape[1:] if batched else value.shape))
    return f'{kind} {{ name: {_quoted(value.name)} data_type: {TYPES[value.type]} dims: [{dims}] }}'


def _quoted(text: str) -> str:
    """A string of protobuf's text format, which has JSON's escapes of quotes, backslashes and line breaks."""
    return json.dumps(text)


def write_repository(onnx: Path, folder: Path, name: str, batch: int, wait_ms: float, waiting: int) -> Path:
    """Write NAME/config.pbtxt and NAME/1/model.onnx, a copy of the file.

    Args: as of :func:`model_config`, and

        onnx: File of ``mask2former export``.
        folder: The model repository; other models in it stay.

    Returns:
        Path: The folder of the model.

    Raises:
        ConfigError: If the name cannot be one of a folder.
        DataError, MissingFileError: As of :func:`~mask2former.deployment.onnx_file.read_onnx_file`.
    """
    if not re.fullmatch(r'[A-Za-z0-9][\w.-]*', name):
        raise ConfigError(f"--name '{name}' must be of letters, digits, '_', '-' and '.'.")
    config = model_config(read_onnx_file(onnx), name, batch, wait_ms, waiting)
    link_or_copy(onnx, folder / name / '1' / 'model.onnx', copy=True)
    write_text(folder / name / 'config.pbtxt', config)
    return folder / name


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    result = argparse.ArgumentParser(
        description='Write a model repository for the Triton Inference Server: the ONNX file, and a config.pbtxt made '
        'of what the file says of itself.'
    )
    result.add_argument('onnx', type=Path, help='file of `mask2former export`')
    result.add_argument('--out', type=Path, required=True, metavar='DIR', help='the model repository; it is made')
    result.add_argument('--name', default='mask2former', help='what clients call the model; default: %(default)s')
    result.add_argument('--batch', type=int, default=8, help='most images at once; default: %(default)s')
    result.add_argument(
        '--wait-ms', type=float, default=10, help='how long a request waits for others; default: %(default)s'
    )
    result.add_argument('--waiting', type=int, default=64, help='most requests that wait; default: %(default)s')
    return result


def main() -> None:
    """Run the command.

    Raises:
        ConfigError: If a number cannot be.
    """
    args = parser().parse_args()
    if args.batch < 1 or args.waiting < 1 or args.wait_ms < 0:
        raise ConfigError('--batch and --waiting must be at least 1, --wait-ms at least 0.')
    folder = write_repository(args.onnx, args.out, args.name, args.batch, args.wait_ms, args.waiting)
    print(f'{folder} is written: tritonserver --model-repository {args.out}')
