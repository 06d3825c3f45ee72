"""From the name of a published model to its config and weights, and from an address to a file on this machine."""

import difflib
import hashlib
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import torch
import yaml
from mmengine.dist import barrier, get_local_rank

from mask2former.errors import CheckpointError, MissingFileError, MissingPackageError

from .hub_models import hub_model

PACKAGE = Path(__file__).resolve().parents[1]
HUB = 'hf://'
HUB_FILES = ('model.safetensors', 'pytorch_model.bin')
_HUB_NAME = re.compile(r'[\w-][\w.-]*/[\w-][\w.-]*')
_SUFFIXES = ('.pth', '.pkl', '.pt', '.bin', '.safetensors', '.tar', '.py')


class PublishedModel(NamedTuple):
    """A model that is known by name.

    Attributes:
        name (str): Its name.
        config (Path | None): Its config; None where there is none for it here.
        weights (str): Where its weights are: ``https://...`` or ``hf://owner/name``.
    """

    name: str
    config: Path | None
    weights: str


def package_root() -> Path:
    """The folder of ``configs`` and ``model-index.yml``: that of an installation, or the working tree."""
    installed = PACKAGE / '.mim'
    return installed if (installed / 'model-index.yml').is_file() else PACKAGE.parents[1]


def model_zoo(root: Path | None = None) -> dict[str, dict]:
    """The models of ``model-index.yml`` and of the metafiles that it imports, by their names and aliases.

    Raises:
        CheckpointError: If one of these files is not what it should be.
    """
    root = root or package_root()
    zoo = {}
    for metafile in _read_yaml(root / 'model-index.yml').get('Import') or []:
        for model in _read_yaml(root / metafile).get('Models') or []:
            if not isinstance(model, dict) or 'Name' not in model or 'Config' not in model:
                raise CheckpointError(f"'{root / metafile}' has a model without Name or Config: give it both.")
            for name in (model['Name'], *(model.get('Alias') or [])):
                zoo[name] = model
    return zoo


def resolve(name: str, root: Path | None = None) -> PublishedModel | None:
    """A published model by its name.

    Args:
        name (str): That of an entry of the model zoo (or an alias), or ``facebook/mask2former-...`` on the hub.
        root (Path, optional): The folder of ``model-index.yml``.

    Returns:
        PublishedModel | None: None if the text is no such name.

    Raises:
        CheckpointError: If the entry has no weights.
    """
    root = root or package_root()
    entry = model_zoo(root).get(name)
    if entry is not None:
        if not entry.get('Weights'):
            raise CheckpointError(f"The model '{name}' has no weights yet: train it, or give a checkpoint.")
        return PublishedModel(name, root / entry['Config'], entry['Weights'])
    known = hub_model(name)
    if known is not None:
        return PublishedModel(name, _find_config(root, known.backbone, known.dataset, known.task), HUB + name)
    return None


def find_config(name: str, root: Path | None = None) -> Path:
    """The config of a path or of a model's name.

    Raises:
        MissingFileError: If there is neither such a file nor such a model.
        CheckpointError: If there is no config for the model here.
    """
    if Path(name).is_file():
        return Path(name)
    model = None if str(name).endswith('.py') else resolve(str(name), root)
    if model is None:
        raise MissingFileError(
            f"There is no config '{name}': see configs/ for those that there are." + _near(str(name), root)
        )
    if model.config is None or not model.config.is_file():
        raise CheckpointError(f"There is no config for '{name}' here: give the path of one beside the checkpoint.")
    return model.config


def locate(address: str, root: Path | None = None) -> str:
    """Where a checkpoint is; nothing is fetched.

    Args:
        address (str): A path, an address with ``://``, or the name of a model: an entry of the model zoo, or
            ``owner/name`` on the Hugging Face hub.
        root (Path, optional): The folder of ``model-index.yml``.

    Returns:
        str: A path that exists, or an address with ``://``.

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
    raise MissingFileError(f"There is no checkpoint '{address}': check the path." + _near(address, root))


def find_checkpoint(address: str, root: Path | None = None) -> Path:
    """The file or folder of a checkpoint on this machine; what is elsewhere is fetched, once.

    Args:
        address (str): As :func:`locate` takes it.
        root (Path, optional): The folder of ``model-index.yml``.

    Raises:
        MissingFileError: If there is no such file and no such model.
        CheckpointError: If it cannot be fetched.
    """
    address = locate(str(address), root)
    if address.startswith(HUB):
        return _first_process_first(lambda: _from_hub(address.removeprefix(HUB)))
    if address.startswith(('http://', 'https://')):
        return _first_process_first(lambda: _from_web(address))
    if '://' in address:
        raise CheckpointError(f"'{address}' is no address that is known here: write https://, hf:// or a path.")
    return Path(address)


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' is missing, which says where the weights of the models are.") from error
    except yaml.YAMLError as error:
        raise CheckpointError(f"'{path}' is no YAML file: {str(error).splitlines()[0]}.") from error
    return content if isinstance(content, dict) else {}


def _find_config(root: Path, backbone: str, dataset: str, task: str) -> Path | None:
    """The config of this backbone for this data set and task, by its name: the shortest one."""
    fitting = [
        path
        for path in (root / 'configs').rglob(f'mask2former_{backbone}*.py')
        if dataset in path.stem.lower() and (path.stem.endswith(task) or task in path.parent.name)
    ]
    return min(fitting, key=lambda path: (len(path.name), str(path)), default=None)


def _near(name: str, root: Path | None) -> str:
    try:
        near = difflib.get_close_matches(name, model_zoo(root), n=1)
    except CheckpointError:  # what is wrong with the index is not what was asked
        near = []
    return f" Or did you mean the model '{near[0]}'?" if near else ''


def _first_process_first(fetch) -> Path:
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
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"'{name}' is fetched with huggingface_hub: pip install huggingface_hub.") from error
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
