"""Weights of backbones alone, from torchvision, timm, the official Swin, mmpretrain and detectron2.

They are brought into the layout that the backbone's own loading takes: a ResNet's names are torchvision's, a Swin's
those of the official release (mmdet's Swin takes them with ``convert_weights=True``), EfficientNet-Lite's ours.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import mmengine
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mask2former.errors import CheckpointError

from .convert import convert_raw, recognise
from .fetch import find_checkpoint
from .infer import COUNTER, INDEX, backbone_shapes, fill_computed, infer_backbone
from .key_map import KeyMap, Rule, Template, rename
from .keys_detectron2 import RESNET as DETECTRON2_RESNET
from .keys_detectron2 import SWIN as OFFICIAL_SWIN
from .keys_detectron2 import name_deep_stem
from .keys_lite0 import CLASSIFIER
from .keys_lite0 import PACKAGE as LITE0_PACKAGE
from .keys_lite0 import TIMM as LITE0_TIMM
from .keys_vit import is_vit, read_vit
from .read import WEIGHTS, RawCheckpoint, read_raw
from .report import BackboneReport
from .zoo import HUB

FINAL_NORM = 'the norm before the classifier'
COMPUTED = 'a table that is computed again'


def _alone(rules: list[Rule]) -> list[Rule]:
    """Rules of a backbone without the prefix."""

    def without(template: Template) -> Template:
        return template.removeprefix('backbone.') if isinstance(template, str) else template

    return [(without(rule[0]), without(rule[1]), *rule[2:]) for rule in rules]


_SAME = ('{rest*}', '{rest*}')
OFFICIAL = KeyMap(
    _alone(OFFICIAL_SWIN),
    {'head.{rest*}': CLASSIFIER, 'norm.{p}': FINAL_NORM, 'layers.{s}.blocks.{i}.attn_mask': COMPUTED},
)
# First weight of a kind: its table from the names of the others to ours.
KINDS = {
    'layers.0.blocks.0.attn.qkv.weight': ('Swin (official, timm)', OFFICIAL),
    'stages.0.blocks.0.attn.w_msa.qkv.weight': (
        'Swin (mmpretrain, mmdet)',
        KeyMap([_SAME], {'head.{rest*}': CLASSIFIER}),
    ),
    'layer1.0.conv1.weight': (
        'ResNet (torchvision, timm, mmpretrain, mmdet)',
        KeyMap([_SAME], {'head.{rest*}': CLASSIFIER, 'fc.{p}': CLASSIFIER}),
    ),
    'stem.conv1.weight': (
        'ResNet (detectron2)',
        KeyMap(_alone(DETECTRON2_RESNET), {'stem.fc.{p}': CLASSIFIER, 'linear.{p}': CLASSIFIER}),
    ),
    'stem.conv0.weight': (
        'ResNet with a deep stem (detectron2)',
        KeyMap(_alone(DETECTRON2_RESNET), {'stem.fc.{p}': CLASSIFIER, 'linear.{p}': CLASSIFIER}),
    ),
    '_conv_stem.weight': ('EfficientNet-Lite0 (package)', LITE0_PACKAGE),
    'blocks.0.0.conv_dw.weight': ('EfficientNet-Lite0 (timm)', LITE0_TIMM),
    'stages.0.0.depthwise.conv.weight': ('EfficientNet-Lite0 (mask2former)', KeyMap([_SAME])),
}


def read_backbone(address: str | Path) -> tuple[dict[str, Tensor], BackboneReport]:
    """A backbone's weights with the names that ours has, of a backbone's or of a whole model's checkpoint.

    Args:
        address: A path, ``https://...``, ``hf://owner/name``, ``timm://name``, ``torchvision://name`` or
            ``package://...``.

    Returns:
        Names without a prefix, and what became of every weight.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it is no backbone that is known here, is damaged or incomplete, or could run code.
    """
    raw = read_address(str(address))
    if recognise(raw.state):
        whole = convert_raw(raw, str(address))
        state = {
            name.removeprefix('backbone.'): value for name, value in whole.state.items() if name.startswith('backbone.')
        }
        rest = [name for name in whole.state if not name.startswith('backbone.')]
        return state, BackboneReport(
            f'backbone of {whole.report.architecture}', len(state), dict.fromkeys(rest, 'not of the backbone')
        )
    named = rename(name_deep_stem(raw.state), [(r'^module\.', ''), (r'^backbone\.', '')])
    if is_vit(named):
        return _read_vit(named, str(address))
    kind = next((key for key in KINDS if key in named), None)
    if kind is None:
        raise CheckpointError(
            f"'{address}' is no backbone that is known here (its first weight is "
            f"'{next(iter(named))}'): give a ResNet, a Swin, a DINOv2, a DINOv3 or an EfficientNet-Lite0."
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


def _read_vit(named: Mapping[str, Tensor], address: str) -> tuple[dict[str, Tensor], BackboneReport]:
    """A plain vision transformer's weights; whether they are all there is seen where they are loaded."""
    try:
        title, converted = read_vit(named)
        if converted.unknown:
            raise CheckpointError(f"holds '{converted.unknown[0]}', which DINOv2 and DINOv3 have not")
    except ValueError as error:
        raise CheckpointError(f"'{address}' {error}: it is damaged, incomplete or of another backbone.") from error
    return converted.state, BackboneReport(title, len(converted.state), converted.dropped)


def load_backbone(module: nn.Module, address: str | Path) -> BackboneReport:
    """Load a backbone's weights into a ResNet, a Swin or an EfficientNet-Lite.

    Args:
        module: mmdet's ``ResNet`` or ``SwinTransformer``, or ``EfficientNetLite``.
        address: As :func:`read_backbone` takes it.

    Returns:
        What is loaded, left out and missing.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it does not fit; then nothing is loaded.
    """
    state, report = read_backbone(address)
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


def to_official_swin(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, a Swin's in the official layout."""
    return OFFICIAL.to_theirs(state) if 'patch_embed.projection.weight' in state else state


def read_address(address: str) -> RawCheckpoint:
    """Weights as they are, from any address that :func:`read_backbone` takes."""
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
    sizes = infer_backbone(state, '')
    shapes = backbone_shapes(sizes)
    report.missing |= {name: COMPUTED for name in shapes if name not in state and name.endswith((INDEX, COUNTER))}
    fill_computed(state, shapes)
    for name, shape in shapes.items():
        if name not in state and not (sizes.kind == 'swin' and name.startswith('norm')):
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
