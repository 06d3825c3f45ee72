"""The configs of models that weights alone tell: ``configs/_base_/models/NAME.py``."""

from .convert import Checkpoint, convert_raw, recognise
from .infer import Architecture, BackboneSizes
from .read import RawCheckpoint
from .schemes import read_any

_BACKBONES = {
    'ResNet-50': 'r50',
    'ResNet-101': 'r101',
    'Swin-T': 'swin-t',
    'Swin-S': 'swin-s',
    'Swin-B': 'swin-b-in21k',
    'Swin-L': 'swin-l',
}
# Channels of backbones of which weights say nothing else.
_CHANNELS: dict[tuple[int, ...], str] = {(24, 40, 112, 320): 'efficientnet-lite0', (96, 192, 384, 768): 'convnext-t'}


def backbone_name(sizes: BackboneSizes) -> str | None:
    """What the files' names call a backbone; None if there is none of these sizes."""
    return _BACKBONES.get(str(sizes)) or (_CHANNELS.get(sizes.channels) if sizes.kind == 'other' else None)


def model_name(checkpoint: Checkpoint) -> str | None:
    """The file in ``configs/_base_/models`` of a checkpoint's model, less its suffix; None if no file has it.

    Sizes of the head and the pixel decoder may still be others than the file's.
    """
    arch = checkpoint.report.architecture
    if not isinstance(arch, Architecture) or arch.member not in ('mask2former', 'maskformer'):
        return None
    name = backbone_name(arch.backbone)
    return name and f'{arch.member}_{name}'


def model_of(address: str) -> str | None:
    """:func:`model_name` of a checkpoint that is anywhere; None if it holds no whole model, too.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it cannot be read.
    """
    content = read_any(address)
    if recognise(content['state_dict']) is None:
        return None
    return model_name(convert_raw(RawCheckpoint(content['state_dict'], content['meta'], {}), address))
