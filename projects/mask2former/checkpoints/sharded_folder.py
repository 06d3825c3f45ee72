"""Checkpoints that are folders, ``iter_4.dcp``: each process writes its part, by PyTorch's distributed checkpoints.

A folder has the files of ``torch.distributed.checkpoint``, one for each process and ``.metadata``, with the tensors
that were sharded; and ``rest.pth`` with everything else, the names of those tensors, and sizes and checksums of the
other files. It can be read by any number of processes, each of which reads all of it. Reading one runs no code of it.
"""

import pickle
import shutil
import warnings
import zlib
from collections.abc import Container
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, barrier, get_rank, is_main_process
from torch import Tensor

from mask2former.errors import CheckpointError, UserError
from mask2former.formats.files import flush_to_disk
from mask2former.unpickle import load_pickle

from .in_folder import SUFFIX
from .read import MAX_INFLATION, read_content
from .shards import replace_shards

REST = 'rest.pth'
_PATHS = ('Path', 'PosixPath', 'WindowsPath')


def is_sharded_folder(path: str | Path) -> bool:
    """Whether a path is such a folder's."""
    return Path(path).suffix == SUFFIX and Path(path).is_dir()


def write_folder(checkpoint: dict, path: Path) -> None:
    """Write a folder that is there whole or not at all; all processes must call it, with the same keys.

    Args:
        checkpoint: Nested dicts; parts of tensors are taken from all processes, the rest from the first.
        path: Where, in a folder that the processes share.
    """
    from torch.distributed import checkpoint as dcp

    part = path.with_name(f'.{path.name}.part')
    if is_main_process():
        shutil.rmtree(part, ignore_errors=True)  # of a training that was killed
        part.mkdir(parents=True)
    barrier()
    shards: dict[str, Tensor] = {}
    paths: dict[str, tuple] = {}

    def take(keys: tuple, shard: Tensor) -> None:
        name = '/'.join(map(str, keys))
        shards[name], paths[name] = shard.detach(), keys

    rest = replace_shards(checkpoint, take)
    dcp.save(shards, storage_writer=dcp.FileSystemWriter(part))  # flushed to the disk, each file
    own = {file.name: _sum_of(file) for file in part.glob(f'__{get_rank()}_*')}
    sums = {name: value for found in all_gather_object(own) for name, value in found.items()}
    if is_main_process():
        sums['.metadata'] = _sum_of(part / '.metadata')
        torch.save(dict(checkpoint=rest, paths=paths, sums=sums), part / REST)
        flush_to_disk(part / REST)
        flush_to_disk(part)
        old = path.with_name(f'.{path.name}.old')
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():  # no folder can be put in the place of another at once
            path.rename(old)
        part.rename(path)
        flush_to_disk(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    barrier()


def read_folder(path: str | Path) -> dict:
    """The checkpoint of a folder, with whole tensors on the CPU, as a file of one process holds it.

    Raises:
        CheckpointError: If it is damaged, or if something in it could run code.
    """
    path = Path(path)
    content = read_content(path / REST)
    if fault := _wrong_sum(path, content):
        raise CheckpointError(f"'{path}' is damaged ({fault}): take the checkpoint before it, or copy it again.")
    try:
        shards = _read_shards(path, content['sums'])
        for name, keys in content['paths'].items():
            inner = content['checkpoint']
            for key in keys[:-1]:
                inner = inner[key]
            inner[keys[-1]] = shards[name]
        return content['checkpoint']
    except OSError:
        raise
    except Exception as error:  # whatever else a file holds
        told = f' ({error})' if type(error) is pickle.UnpicklingError else ''  # others tell of torch's insides
        raise CheckpointError(f"'{path}' is no checkpoint of this package, or is damaged{told}.") from error


def folder_fault(path: Path) -> str | None:
    """What is wrong with the files of a folder; None if it is whole."""
    try:
        return _wrong_sum(path, read_content(path / REST))
    except (UserError, OSError) as error:
        return str(error)


def _wrong_sum(path: Path, content: dict) -> str | None:
    try:
        for name, expected in content['sums'].items():
            if Path(name).name != name or _sum_of(path / name) != tuple(expected):
                return f'the checksum of {name} is wrong'
    except OSError as error:
        return f'{Path(error.filename).name} cannot be read'
    except Exception:  # whatever is in the place of the sums
        return f'{REST} does not tell of its files'
    return None


def _sum_of(file: Path) -> tuple[int, int]:
    """Size and CRC-32 of a file."""
    size = crc = 0
    with file.open('rb') as stream:
        while block := stream.read(1 << 20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


def _allowed() -> dict[str, Any]:
    """What ``.metadata`` may ask for: plain descriptions of tensors and of places in files."""
    from torch.distributed.checkpoint import filesystem, metadata

    described = ('Metadata', 'MetadataIndex', 'TensorStorageMetadata', 'TensorProperties', 'ChunkStorageMetadata')
    names = (*described, 'StorageMeta', '_MEM_FORMAT_ENCODING')
    found = {f'torch.distributed.checkpoint.metadata.{name}': getattr(metadata, name) for name in names}
    paths = (f'{module}.{kind}' for module in ('pathlib', 'pathlib._local') for kind in _PATHS)
    types = {f'torch.{name}': value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    return (
        found
        | types
        | dict.fromkeys(paths, lambda *parts: None)
        | {
            'torch.distributed.checkpoint.filesystem._StorageInfo': filesystem._StorageInfo,
            'torch.serialization._get_layout': lambda name: torch.strided,
            'torch.Size': torch.Size,
        }
    )


def _read_shards(path: Path, sums: Container[str]) -> dict[str, Tensor]:
    """The tensors of the processes' files, put together; these files are those that have a checksum."""
    from torch.distributed import checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

    class Reader(dcp.FileSystemReader):
        def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
            # torch's own reader would run what the file names.
            metadata = load_pickle(path / '.metadata', _allowed())
            metadata.storage_meta = metadata.storage_meta or StorageMeta()
            return metadata

    reader = Reader(path)
    metadata = reader.read_metadata()
    if not all(info.relative_path in sums for info in metadata.storage_data.values()):
        raise pickle.UnpicklingError('it names a file that has no checksum')
    described: dict[str, Any] = metadata.state_dict_metadata  # of tensors only, see _allowed
    promised = sum(entry.size.numel() * entry.properties.dtype.itemsize for entry in described.values())
    if promised > MAX_INFLATION * sum(file.stat().st_size for file in path.iterdir()):
        raise pickle.UnpicklingError(f'it says that it holds more than {MAX_INFLATION} times its size')
    if any(sum(part.sizes.numel() for part in entry.chunks) != entry.size.numel() for entry in described.values()):
        raise pickle.UnpicklingError('the parts of a tensor do not make the whole')
    shards = {name: torch.zeros(entry.size, dtype=entry.properties.dtype) for name, entry in described.items()}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='torch.distributed is disabled')  # as it is said to be
            dcp.load(shards, storage_reader=reader, no_dist=True)
    except CheckpointException as error:  # which is no Exception
        raise pickle.UnpicklingError('its parts are not what it says of them') from error
    return shards
