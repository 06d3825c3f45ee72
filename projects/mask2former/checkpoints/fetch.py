"""From the address of a checkpoint to a file on this machine; what is elsewhere is fetched, once."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_local_rank

from mask2former.errors import CheckpointError, MissingFileError, MissingPackageError

from .zoo import HUB, HUB_FILES, resolve, suggest_model

T = TypeVar('T')
_HUB_NAME = re.compile(r'[\w-][\w.-]*/[\w-][\w.-]*')
_SUFFIXES = ('.pth', '.pkl', '.pt', '.ckpt', '.bin', '.safetensors', '.tar', '.py')


def locate(address: str, root: Path | None = None) -> str:
    """Where a checkpoint is; nothing is fetched.

    Args:
        address: A path, an address with ``://``, or the name of a model: an entry of the model zoo, or
            ``owner/name`` on the Hugging Face hub.
        root: The folder of ``model-index.yml``.

    Returns:
        A path that exists, or an address with ``://``.

    Raises:
        MissingFileError: If there is no such file and no such model.
    """
    if '://' in address:
        return address
    if Path(address).expanduser().exists():
        return str(Path(address).expanduser())
    is_path = address.endswith(_SUFFIXES)
    model = None if is_path else resolve(address, root)
    if model is not None:
        return model.weights
    if _HUB_NAME.fullmatch(address) and not is_path:
        return HUB + address
    raise MissingFileError(f"There is no checkpoint '{address}': check the path." + suggest_model(address, root))


def find_checkpoint(address: str, root: Path | None = None) -> Path:
    """The file or folder of a checkpoint on this machine; what is elsewhere is fetched, once.

    Args:
        address: As :func:`locate` takes it.
        root: The folder of ``model-index.yml``.

    Raises:
        MissingFileError: If there is no such file and no such model.
        CheckpointError: If it cannot be fetched.
    """
    address = locate(str(address), root)
    if address.startswith(HUB):
        return first_process_first(lambda: _from_hub(address.removeprefix(HUB)))
    if address.startswith(('http://', 'https://')):
        return first_process_first(lambda: _from_web(address))
    if '://' in address:
        raise CheckpointError(f"'{address}' is no address that is known here: write https://, hf:// or a path.")
    return Path(address)


def first_process_first(fetch: Callable[[], T]) -> T:
    """The first process of a machine fetches, the others find it there."""
    try:
        if get_local_rank() == 0:
            fetch()
    finally:
        barrier()
    return fetch()


def _from_hub(name: str) -> Path:
    """The folder of a model of the hub in the cache of ``huggingface_hub``, with its config and weights."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError
    except ModuleNotFoundError:
        raise MissingPackageError(f"'{name}' is fetched with huggingface_hub: pip install huggingface_hub.") from None
    try:
        for file in HUB_FILES:
            try:
                weights = hf_hub_download(name, file)
                break
            except EntryNotFoundError:
                if file == HUB_FILES[-1]:
                    raise
        try:
            hf_hub_download(name, 'config.json')
        except EntryNotFoundError:
            pass  # the classes' names are not known then
    except Exception as error:  # many kinds, and none says what to do
        raise CheckpointError(
            f"'{name}' cannot be fetched from the Hugging Face hub ({type(error).__name__}): check the name and the "
            'network, or download its folder and give the path.'
        ) from error
    return Path(weights).parent


def _from_web(url: str) -> Path:
    """A file of the web in torch's cache, where mmengine looks, too."""
    name = Path(urlparse(url).path).name
    if name in HUB_FILES:  # many different files have these names
        name = f'{hashlib.sha256(url.encode()).hexdigest()[:8]}_{name}'
    path = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if path.is_file():
        return path
    digest = re.search(r'-([0-9a-f]{8,64})\.\w+$', name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), digest and digest[1], progress=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"'{url}' cannot be fetched ({str(error) or type(error).__name__}): check the address "
            'and the network, or download it and give the path.'
        ) from error
    return path
