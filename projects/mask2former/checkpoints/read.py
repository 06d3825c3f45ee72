"""Read a checkpoint file of any project without running code in it: the weights, and what the file says of them."""

import json
import math
import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mask2former.errors import CheckpointError, MissingFileError, MissingPackageError, UserError
from mask2former.unpickle import load_pickle, to_tensors

# Where a safetensors file of ours holds what mmengine's ``meta`` says, as JSON, and the checksum of its numbers.
META, CHECKSUM = 'mask2former', 'mask2former.crc32'
WEIGHTS = ('state_dict', 'model', 'model_state')  # mmengine and timm; detectron2 and Swin; pycls
NO_WEIGHTS = 'no weights: the state of a training, or a note'
FOLDER = 0x10  # the flag of a folder in a zip file
MAX_INFLATION = 8  # the content of a zip file, in sizes of the file
_ZIP, _LEGACY = b'PK\x03\x04', b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'  # how torch's files begin


class RawCheckpoint(NamedTuple):
    """A checkpoint file as it is.

    Attributes:
        state: The weights under the file's own names.
        meta: What the file says beside them: mmengine's ``meta``, or ``config``, that of transformers.
        rest: What else is in the file, each with the reason why it is not used.
    """

    state: dict[str, Tensor]
    meta: dict[str, Any]
    rest: dict[str, str]


def read_raw(path: str | Path) -> RawCheckpoint:
    """Read a file, or a folder of transformers.

    Args:
        path: A ``.pth``, ``.pkl``, ``.bin`` or ``.safetensors`` file, or a folder with ``config.json`` or of shards.

    Returns:
        The weights and what is said of them, on the CPU.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it is no checkpoint, is damaged, or could run code.
    """
    from .sharded_folder import is_sharded_folder, read_folder  # which reads its files by this module

    path = Path(path).expanduser()
    if is_sharded_folder(path):
        return _split(read_folder(path), path)
    if path.is_dir():
        return _read_folder(path)
    content = read_content(path)
    if path.suffix in ('.bin', '.safetensors') and (path.parent / 'config.json').is_file():
        content = dict(content, config=read_json_object(path.parent / 'config.json'))
    return _split(content, path)


def read_content(path: str | Path) -> dict:
    """What a file holds, as it is; see :func:`read_raw`."""
    try:
        with explain_unreadable(str(path)):
            with open(path, 'rb') as file:
                start = file.read(len(_LEGACY))
            if start[8:9] == b'{':
                content = _read_safetensors(Path(path))
            elif start.startswith(_ZIP):
                check_sums(Path(path))
                content = torch.load(path, map_location='cpu', weights_only=True)
            elif start == _LEGACY:
                content = torch.load(path, map_location='cpu', weights_only=True)
            else:
                content = to_tensors(load_pickle(path))
    except (CheckpointError, FileNotFoundError, ModuleNotFoundError, PermissionError):
        raise
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"'{path}' is no checkpoint or is damaged: download, copy or save it again.") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"'{path}' holds no weights but a {type(content).__name__}: give a checkpoint.")
    return dict(content)


@contextmanager
def explain_unreadable(filename: str) -> Iterator[None]:
    """Turn the errors of ``torch.load(filename, weights_only=True)`` in this context into clear ones.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If it is no checkpoint, is damaged, or holds more than weights and plain values.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"There is no checkpoint '{filename}': check the path.") from error
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the file system's own sentence, such as a missing permission
        refused = re.search(r'it asks for (\S+)|GLOBAL (\S+)|(attribute \S+ of)|function (\S+)', message)
        if isinstance(error, pickle.UnpicklingError) and refused:
            what = next(group for group in refused.groups() if group).removesuffix(' of')
            raise CheckpointError(
                f"'{filename}' is not loaded, because it holds more than weights and plain values ({what}) and could "
                'run code: take it from whom you trust, and as a state dict.'
            ) from error
        if isinstance(error, RuntimeError) and 'PytorchStreamReader' not in message:
            raise
        raise CheckpointError(
            f"'{filename}' is no checkpoint or is damaged: download, copy or save it again."
        ) from error


def check_sums(path: Path) -> None:
    """See that the checksums of a zip file are right, which torch does not look at.

    A file that was saved without them (``torch.serialization.set_crc32_options(False)``) has none that is right.

    Raises:
        pickle.UnpicklingError: If one is wrong, or if unpacking the file would make much more of it: torch compresses
            nothing.
        zipfile.BadZipFile: If it is no zip file or is cut off.
    """
    right, wrong = 0, None
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_INFLATION * path.stat().st_size:
            raise pickle.UnpicklingError(f'{path} says that it holds more than {MAX_INFLATION} times its size')
        for info in archive.infolist():
            if info.external_attr & FOLDER:  # torch would take what is in its memory for the weights
                raise pickle.UnpicklingError(f'{info.filename} is said to be a folder')
            try:
                with archive.open(info) as record:
                    while record.read(1 << 20):
                        pass
                right += 1
            except zipfile.BadZipFile:
                wrong = info.filename
    if wrong is not None and right:
        raise pickle.UnpicklingError(f'the checksum of {wrong} is wrong')


def _read_safetensors(path: Path) -> dict:
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise MissingPackageError(f"'{path}' is read with safetensors: pip install safetensors.") from None
    try:
        with safe_open(path, framework='pt') as file:
            said = file.metadata() or {}
            meta = json.loads(said.get(META, 'null'))
            state = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise pickle.UnpicklingError(str(error)) from error
    if CHECKSUM in said and said[CHECKSUM] != checksum(state):
        raise pickle.UnpicklingError('the checksum of its numbers is wrong')
    return state if meta is None else dict(state_dict=state, meta=meta)


def checksum(state: Mapping[str, Tensor]) -> str:
    """The CRC-32 of the names and the numbers of weights, in the order of the names, in hexadecimal digits."""
    code = 0
    for name in sorted(state):
        numbers = state[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        code = zlib.crc32(numbers.data, zlib.crc32(name.encode(), code))
    return f'{code:08x}'


def _read_folder(path: Path) -> RawCheckpoint:
    """A folder as transformers saves it: ``config.json`` and the weights in one file or in several."""
    config = read_json_object(path / 'config.json') if (path / 'config.json').is_file() else {}
    for name in ('model.safetensors', 'pytorch_model.bin'):
        index = path / f'{name}.index.json'
        if (path / name).is_file():
            return _split(dict(read_content(path / name), config=config), path / name)
        if index.is_file():
            places = read_json_object(index).get('weight_map')
            if not isinstance(places, dict) or not all(isinstance(part, str) for part in places.values()):
                raise CheckpointError(f"'{index}' does not say in which file a weight is: download or save it again.")
            parts = sorted(set(places.values()))
            if not all(Path(part).name == part for part in parts):
                raise CheckpointError(f"'{index}' names files outside of its folder: take it from whom you trust.")
            content = {name: value for part in parts for name, value in read_content(path / part).items()}
            return _split(dict(content, config=config), index)
    raise MissingFileError(
        f"The folder '{path}' has no model.safetensors and no pytorch_model.bin: give the folder "
        'that save_pretrained wrote, or a file.'
    )


def read_json_object(path: Path) -> dict:
    """Read a JSON file beside a checkpoint.

    Raises:
        CheckpointError: If it holds anything else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' is no JSON file or is damaged: download or save it again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' should hold a JSON object, but holds a {type(content).__name__}.")
    return content


def _split(content: dict, path: Path) -> RawCheckpoint:
    """The weights of a file's content, apart from the rest."""
    meta = {} if content.get('config') is None else dict(config=content.pop('config'))
    key = next((key for key in WEIGHTS if isinstance(content.get(key), Mapping)), None)
    state = dict(content if key is None else content[key])
    if key is not None and isinstance(content.get('meta'), Mapping):
        meta |= content['meta']
    rest = {str(name): NO_WEIGHTS for name in content if key is not None and name not in (key, 'meta')}
    if not any(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"'{path}' holds no weights: give a checkpoint of a model.")
    for name, value in state.items():
        if not isinstance(name, str) or not name.isprintable() or not isinstance(value, Tensor):
            raise CheckpointError(
                f"'{path}' holds a {type(value).__name__} under the name {name!r} where a weight is "
                'expected: give a checkpoint of a model.'
            )
        if value.layout != torch.strided or math.prod(value.shape) * value.element_size() > _bytes(value):
            raise CheckpointError(
                f"'{path}' says that '{name}' has the shape {tuple(value.shape)}, but holds fewer "
                'numbers: it is damaged; download, copy or save it again.'
            )
    return RawCheckpoint(state, meta, rest)


def _bytes(value: Tensor) -> int:
    return value.untyped_storage().nbytes()
