"""Published models by name: the index ``model-index.yml``, and facebook's models on the Hugging Face hub."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from mask2former.errors import CheckpointError, ConfigError, MissingFileError

PACKAGE = Path(__file__).resolve().parents[1]
LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # PyYAML may lack libyaml, which is ten times as fast
CONFIGS = ('.py', '.json', '.yaml', '.yml')  # what mmengine reads
HUB = 'hf://'
HUB_FILES = ('model.safetensors', 'pytorch_model.bin')  # names of many different files
# ``facebook/mask2former-<backbone>-<data set>-<task>`` and ``facebook/maskformer-swin-<size>-<data set>`` on the hub
# were converted from the checkpoints of facebookresearch/Mask2Former and MaskFormer. Here they are in the terms of the
# configs' names. The weights tell with what a Swin-B was trained first, names do not always.
HUB_BACKBONES = {
    'swin-tiny': 'swin-t-p4-w7-224',
    'swin-small': 'swin-s-p4-w7-224',
    'swin-base-IN21k': 'swin-b-p4-w12-384-in21k',
    'swin-base': 'swin-b-p4-w12-384',
    'swin-large': 'swin-l-p4-w12-384-in21k',
}
HUB_DATASETS = {'coco': 'coco', 'cityscapes': 'cityscapes', 'ade': 'ade20k', 'mapillary-vistas': 'mapillary'}
# Of the models that facebookresearch/Mask2Former and facebookresearch/MaskFormer published (their MODEL_ZOO.md), and so
# of what was converted from them.
REFERENCE_LICENSE = 'CC BY-NC 4.0'
HUB_MASKFORMER = 'facebook/maskformer-'
# Backbones and data sets of the hub's MaskFormers with a Swin; each was published for one task of a data set.
_MASKFORMERS = dict(tiny='swin-t-p4-w7-224', small='swin-s-p4-w7-224')
_MASKFORMERS |= dict(base='swin-b-p4-w12-384-in21k', large='swin-l-p4-w12-384-in21k')
_MASKFORMER_DATASETS = dict(ade=('ade20k', 'semantic'), coco=('coco', 'panoptic'))
_NOT_PUBLISHED = {('coco', 'semantic'), ('mapillary-vistas', 'instance')}


class PublishedModel(NamedTuple):
    """A model that is known by name.

    Attributes:
        name: Its name.
        config: Its config; None where there is none for it here.
        weights: Where its weights are: ``https://...`` or ``hf://owner/name``.
        license: That of the weights; None where it is not known.
    """

    name: str
    config: Path | None
    weights: str
    license: str | None


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
        name: That of an entry of the model zoo (or an alias), or ``facebook/mask2former-...`` or
            ``facebook/maskformer-...`` on the hub.
        root: The folder of ``model-index.yml``.

    Returns:
        The model; None if the text is no such name.

    Raises:
        CheckpointError: If the entry has no weights.
    """
    root = root or package_root()
    entry = model_zoo(root).get(name)
    if entry is not None:
        if not entry.get('Weights'):
            raise CheckpointError(f"The model '{name}' has no weights yet: train it, or give a checkpoint.")
        return PublishedModel(name, root / entry['Config'], entry['Weights'], _license(entry))
    parts = hub_name(name)
    return parts and PublishedModel(name, _find_hub_config(root, *parts), HUB + name, REFERENCE_LICENSE)


def hub_name(name: str) -> tuple[str, str, str, str] | None:
    """Model, backbone and data set as the names of configs have them, and the task, of a model on the hub; None if the
    text is no name of one."""
    maskformer = re.fullmatch(r'facebook/maskformer-swin-(tiny|small|base|large)-(ade|coco)', name)
    if maskformer:
        return ('maskformer', _MASKFORMERS[maskformer[1]], *_MASKFORMER_DATASETS[maskformer[2]])
    match = re.fullmatch(
        rf'facebook/mask2former-({"|".join(HUB_BACKBONES)})-({"|".join(HUB_DATASETS)})-(panoptic|instance|semantic)',
        name,
    )
    if not match or (match[2], match[3]) in _NOT_PUBLISHED:
        return None
    return 'mask2former', HUB_BACKBONES[match[1]], HUB_DATASETS[match[2]], match[3]


def license_of(source: str, meta: Mapping, root: Path | None = None) -> str | None:
    """The licence of a checkpoint's weights; None where it is not known, which does not mean that there is none.

    Args:
        source: Its path, address or name. A file with the name of one of the model zoo is taken for that one.
        meta: What the checkpoint says of itself: ``license`` is believed.
        root: The folder of ``model-index.yml``.
    """
    if isinstance(meta.get('license'), str):
        return meta['license']
    hub = source.removeprefix(HUB)
    if hub_name(hub) or hub.startswith(HUB_MASKFORMER):
        return REFERENCE_LICENSE
    entry = _published_as(source, root)
    return None if entry is None else _license(entry)


def config_of_weights(source: str, root: Path | None = None) -> Path | None:
    """The config of a model of the model zoo whose name, address of weights or name of their file this is."""
    entry = _published_as(source, root)
    return None if entry is None else (root or package_root()) / entry['Config']


def _published_as(source: str, root: Path | None) -> dict | None:
    for name, entry in model_zoo(root).items():
        weights = entry.get('Weights')
        if not weights:
            continue
        same_file = Path(source).name == Path(weights).name and Path(source).name not in HUB_FILES
        if same_file or source.removeprefix(HUB) == name or source == weights:
            return entry
    return None


def note_license(meta: dict, source: str) -> str:
    """Write the licence of a checkpoint's weights into its ``meta``, where it is known, and say it in a sentence."""
    license = license_of(source, meta)
    if license is not None:
        meta['license'] = license
    return f'Licence of the weights: {license or "unknown, that of the source"}.'


def _license(entry: dict) -> str | None:
    return (entry.get('Metadata') or {}).get('License of weights')


def find_config(name: str, root: Path | None = None) -> Path:
    """The config of a path, of the folder of a training or of a model's name.

    Raises:
        ConfigError: If the file is none.
        MissingFileError: If there is neither such a file nor such a model.
        CheckpointError: If there is no config for the model here.
    """
    path = Path(name)
    if path.is_dir():
        if len(configs := configs_in(path)) == 1:
            return configs[0]
    if path.is_file():
        if path.suffix not in CONFIGS:
            raise ConfigError(f"'{name}' is no config: give one ({', '.join(CONFIGS)}), or the folder of a training.")
        return path
    model = None if str(name).endswith('.py') else resolve(str(name), root)
    if model is None:
        raise MissingFileError(
            f"There is no config '{name}'"
            + (
                ': see configs/ for those that there are.'
                if path.suffix in CONFIGS
                else ', and no folder of a training or published model of that name: check the path; docs/model_zoo.md '
                'has the names.'
            )
            + suggest_model(str(name), root)
        )
    if model.config is None or not model.config.is_file():
        raise CheckpointError(f"There is no config for '{name}' here: give the path of one beside the checkpoint.")
    return model.config


def configs_in(folder: Path) -> list[Path]:
    """The config of the folder of a training, or several if it does not follow which one: that which was trained with,
    also where a person has changed the one of ``mask2former train`` since."""
    for path in (folder / 'train' / 'config.py', folder / 'config.py'):
        if path.is_file():
            return [path]
    return sorted(folder.glob('*.py'))


def suggest_model(name: str, root: Path | None) -> str:
    """A sentence with the model of the index whose name is nearest, to end a message with; empty if none is near."""
    try:
        near = difflib.get_close_matches(name, model_zoo(root), n=1)
    except CheckpointError:  # what is wrong with the index is not what was asked
        near = []
    return f" Or did you mean the model '{near[0]}'?" if near else ''


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.load(path.read_text(encoding='utf-8'), Loader=LOADER)
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' is missing, which says where the weights of the models are.") from error
    except yaml.YAMLError as error:
        raise CheckpointError(f"'{path}' is no YAML file: {str(error).splitlines()[0]}.") from error
    return content if isinstance(content, dict) else {}


def _find_hub_config(root: Path, model: str, backbone: str, dataset: str, task: str) -> Path | None:
    """The config of this backbone for this data set and task, by its name: the shortest one."""
    fitting = [
        path
        for path in (root / 'configs').rglob(f'{model}_{backbone}*.py')
        if dataset in path.stem.lower() and (path.stem.endswith(task) or task in path.parent.name)
    ]
    return min(fitting, key=lambda path: (len(path.name), str(path)), default=None)
