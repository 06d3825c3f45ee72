"""Weights of backbones alone, from torchvision, timm, the official Swin, mmpretrain and detectron2.

They are brought into the layout that the backbone's own loading takes: a ResNet's names are torchvision's, a Swin's
those of the official release (mmdet's Swin takes them with ``convert_weights=True``), EfficientNet-Lite's ours.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mmengine
import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import Tensor, nn

from mask2former.errors import CheckpointError

from .architecture import COUNTER, INDEX, backbone_shapes, fill_computed, infer_backbone
from .detectron2_keys import RESNET as DETECTRON2_RESNET
from .detectron2_keys import SWIN as OFFICIAL_SWIN
from .formats import convert_raw, recognise
from .key_map import KeyMap, rename
from .names import HUB, find_checkpoint
from .reading import WEIGHTS, RawCheckpoint, read_raw

CLASSIFIER = 'the classifier, which a backbone has not'
FINAL_NORM = 'the norm before the classifier'
COMPUTED = 'a table that is computed anew'


def _alone(rules: list) -> list:
    """Rules of a backbone without the prefix."""
    return [tuple(part.removeprefix('backbone.') if isinstance(part, str) else part for part in rule) for rule in rules]


_IGNORED = {'head.{rest*}': CLASSIFIER, 'norm.{p}': FINAL_NORM, 'layers.{s}.blocks.{i}.attn_mask': COMPUTED}
# First weight of a kind: its table from the names of the others to ours.
KINDS = {
    'layers.0.blocks.0.attn.qkv.weight': ('Swin (official, timm)', KeyMap(_alone(OFFICIAL_SWIN), _IGNORED)),
    'stages.0.blocks.0.attn.w_msa.qkv.weight': (
        'Swin (mmpretrain, mmdet)',
        KeyMap([('{rest*}', '{rest*}')], {'head.{rest*}': CLASSIFIER}),
    ),
    'layer1.0.conv1.weight': (
        'ResNet (torchvision, timm, mmpretrain, mmdet)',
        KeyMap([('{rest*}', '{rest*}')], {'head.{rest*}': CLASSIFIER, 'fc.{p}': CLASSIFIER}),
    ),
    'stem.conv1.weight': (
        'ResNet (detectron2)',
        KeyMap(_alone(DETECTRON2_RESNET), {'stem.fc.{p}': CLASSIFIER, 'linear.{p}': CLASSIFIER}),
    ),
    '_conv_stem.weight': ('EfficientNet-Lite0 (package)', KeyMap([('{rest*}', '{rest*}')])),
    'blocks.0.0.conv_dw.weight': (
        'EfficientNet-Lite0 (timm)',
        KeyMap(
            [
                ('stem.conv.{p}', 'conv_stem.{p}'),
                ('stem.bn.{p}', 'bn1.{p}'),
                ('stages.0.{i}.depthwise.conv.{p}', 'blocks.0.{i}.conv_dw.{p}'),
                ('stages.0.{i}.depthwise.bn.{p}', 'blocks.0.{i}.bn1.{p}'),
                ('stages.0.{i}.project.conv.{p}', 'blocks.0.{i}.conv_pw.{p}'),
                ('stages.0.{i}.project.bn.{p}', 'blocks.0.{i}.bn2.{p}'),
                ('stages.{s}.{i}.expand.conv.{p}', 'blocks.{s}.{i}.conv_pw.{p}'),
                ('stages.{s}.{i}.expand.bn.{p}', 'blocks.{s}.{i}.bn1.{p}'),
                ('stages.{s}.{i}.depthwise.conv.{p}', 'blocks.{s}.{i}.conv_dw.{p}'),
                ('stages.{s}.{i}.depthwise.bn.{p}', 'blocks.{s}.{i}.bn2.{p}'),
                ('stages.{s}.{i}.project.conv.{p}', 'blocks.{s}.{i}.conv_pwl.{p}'),
                ('stages.{s}.{i}.project.bn.{p}', 'blocks.{s}.{i}.bn3.{p}'),
            ],
            {'conv_head.{p}': CLASSIFIER, 'bn2.{p}': CLASSIFIER, 'classifier.{p}': CLASSIFIER},
        ),
    ),
    'stages.0.0.depthwise.conv.weight': ('EfficientNet-Lite0 (mask2former)', KeyMap([('{rest*}', '{rest*}')])),
}


@dataclass
class BackboneReport:
    """What became of a backbone's weights.

    Attributes:
        kind (str): What was read.
        loaded (int): Weights that are used.
        dropped (dict[str, str]): Weights of the source that are not used, with the reasons.
        missing (dict[str, str]): Weights of the backbone that the source has not, with what happens to them.
    """

    kind: str
    loaded: int
    dropped: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f'{self.kind}: {self.loaded} weights']
        for title, names in (('left out', self.dropped), ('not in it', self.missing)):
            for reason in dict.fromkeys(names.values()):
                group = [name for name in names if names[name] == reason]
                lines.append(f"  {title}: {len(group):4}  '{group[0]}'{' ...' if len(group) > 1 else ''}: {reason}")
        return '\n'.join(lines)


def read_backbone(address: str | Path) -> tuple[dict[str, Tensor], BackboneReport]:
    """A backbone's weights with the names that ours has, of a backbone's or of a whole model's checkpoint.

    Args:
        address (str | Path): A path, ``https://...``, ``hf://owner/name``, ``timm://name``, ``torchvision://name`` or
            ``package://...``.

    Returns:
        tuple[dict[str, Tensor], BackboneReport]: Names without a prefix, and what became of every weight.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it is no backbone that is known here, is damaged or incomplete, or could run code.
    """
    raw = _read(str(address))
    if recognise(raw.state):
        whole = convert_raw(raw, str(address))
        state = {
            name.removeprefix('backbone.'): value for name, value in whole.state.items() if name.startswith('backbone.')
        }
        rest = [name for name in whole.state if not name.startswith('backbone.')]
        return state, BackboneReport(
            f'backbone of {whole.report.architecture}', len(state), dict.fromkeys(rest, 'not of the backbone')
        )
    named = rename(raw.state, [(r'^module\.', ''), (r'^backbone\.', '')])
    kind = next((key for key in KINDS if key in named), None)
    if kind is None:
        raise CheckpointError(
            f"'{address}' is no backbone that is known here (its first weight is "
            f"'{next(iter(named))}'): give a ResNet, a Swin or an EfficientNet-Lite0."
        )
    title, keys = KINDS[kind]
    if 'layers.3.downsample.reduction.weight' in named:  # timm puts it before the stage, not after
        named = rename(named, [(r'^layers\.(\d)\.downsample\.', lambda m: f'layers.{int(m[1]) - 1}.downsample.')])
    try:
        converted = keys.read(named)
        if converted.unknown:
            raise CheckpointError(f"holds '{converted.unknown[0]}'")
        report = BackboneReport(title, 0, converted.dropped)
        _check(converted.state, report)
    except ValueError as error:
        raise CheckpointError(
            f"'{address}' {error}, which is not as in a {title}: it is damaged, incomplete or of another backbone."
        ) from error
    report.loaded = len(converted.state)
    return converted.state, report


def load_backbone(module: nn.Module, address: str | Path) -> BackboneReport:
    """Load a backbone's weights into a ResNet, a Swin or an EfficientNet-Lite.

    Args:
        module (nn.Module): mmdet's ``ResNet`` or ``SwinTransformer``, or ``EfficientNetLite``.
        address (str | Path): As :func:`read_backbone` takes it.

    Returns:
        BackboneReport: What is loaded, left out and missing.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it does not fit; then nothing is loaded.
    """
    state, report = read_backbone(address)
    if '_conv_stem.weight' in state:
        from mask2former.models.backbones.efficientnet_lite import convert_lite0_keys  # it imports this folder

        names, state = set(state), convert_lite0_keys(state)
        report.dropped |= dict.fromkeys((n for n in names if n.startswith(('_conv_head', '_bn1', '_fc'))), CLASSIFIER)
    own = module.state_dict()
    wrong = [name for name in own if name in state and state[name].shape != own[name].shape]
    missing = [name for name in own if name not in state and not name.endswith((INDEX, COUNTER))]
    if wrong or not any(name in state for name in own) or len(missing) > 8:
        detail = (
            f"'{wrong[0]}' has the shape {tuple(state[wrong[0]].shape)} instead of {tuple(own[wrong[0]].shape)}"
            if wrong
            else f"it lacks {len(missing)} weights, such as '{missing[0]}'"
        )
        raise CheckpointError(f"'{address}' does not fit the {type(module).__name__}: {detail}; give another one.")
    report.dropped |= dict.fromkeys((name for name in state if name not in own), 'the backbone here has it not')
    report.missing |= dict.fromkeys(missing, 'keeps its initialisation')
    module.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)
    report.loaded = sum(name in own for name in state)
    return report


@CheckpointLoader.register_scheme(prefixes=('backbone://', 'timm://', 'hf://'))
def load_from_backbone(filename: str, map_location: str | torch.device | None = None) -> dict:
    """What mmengine calls for ``init_cfg=dict(type='Pretrained', checkpoint='backbone://...')``: see
    :func:`read_backbone`. A Swin is given in the official layout, which mmdet's converts (``convert_weights=True``)."""
    state, report = read_backbone(filename.removeprefix('backbone://'))
    print_log(f"'{filename}' is read. {report}", logger='current')
    if 'patch_embed.projection.weight' in state:
        state = KINDS['layers.0.blocks.0.attn.qkv.weight'][1].to_theirs(state)
    return dict(state_dict={name: value.to(map_location or 'cpu') for name, value in state.items()})


def _read(address: str) -> RawCheckpoint:
    if address.startswith('timm://'):
        address = f'{HUB}timm/{address.removeprefix("timm://")}'
    elif address.startswith('torchvision://') and address.removeprefix('torchvision://') in torchvision_urls():
        address = torchvision_urls()[address.removeprefix('torchvision://')]
    if '://' not in address or address.startswith((HUB, 'http://', 'https://')):
        return read_raw(find_checkpoint(address))
    content = CheckpointLoader.load_checkpoint(address, map_location='cpu')
    state = next((content[key] for key in WEIGHTS if isinstance(content.get(key), Mapping)), content)
    return RawCheckpoint(dict(state), {}, {})


def _check(state: dict[str, Tensor], report: BackboneReport) -> None:
    """See that the weights are those of a ResNet or of a Swin, and list what is missing.

    Only the norms of a Swin's features may be, which classifiers have not.
    """
    fields = infer_backbone(state, '')
    shapes = backbone_shapes(fields)
    report.missing |= {name: COMPUTED for name in shapes if name not in state and name.endswith((INDEX, COUNTER))}
    fill_computed(state, shapes)
    for name, shape in shapes.items():
        if name not in state and not (fields['backbone'] == 'swin' and name.startswith('norm')):
            raise CheckpointError(f"lacks '{name}'")
        if name not in state:
            report.missing[name] = 'keeps its initialisation'
        elif tuple(state[name].shape) != shape:
            raise CheckpointError(f"holds '{name}' in the shape {tuple(state[name].shape)}")
    unknown = next((name for name in state if shapes and name not in shapes), None)
    if unknown is not None:
        raise CheckpointError(f"holds '{unknown}'")


@functools.cache
def torchvision_urls() -> dict[str, str]:
    """Addresses of torchvision's weights by their names, as mmengine knows them; torchvision itself is not needed."""
    urls = mmengine.load(Path(mmengine.__file__).parent / 'hub/torchvision_0.12.json')
    urls |= {f'{name}.imagenet1k_v1': url for name, url in urls.items()}
    models = 'https://download.pytorch.org/models'
    return urls | {
        'resnet50.imagenet1k_v2': f'{models}/resnet50-11ad3fa6.pth',
        'resnet101.imagenet1k_v2': f'{models}/resnet101-cd907fc2.pth',
    }


@CheckpointLoader.register_scheme(prefixes='torchvision://', force=True)
def load_from_torchvision(filename: str, map_location: str | torch.device | None = None) -> dict:
    """In the place of mmengine's ``torchvision://``: ResNets without torchvision, everything else as there."""
    name = filename.removeprefix('torchvision://')
    if name.startswith('resnet') and name in torchvision_urls():
        return load_from_backbone(filename, map_location)
    return mmengine_checkpoint.load_from_torchvision(filename, map_location)
