"""The formats of whole models: which one a checkpoint has, and from one to the other with an account of all."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mask2former.errors import CheckpointError

from . import keys_eomt, keys_maskformer
from .differences import add_base, are_differences
from .infer import INDEX, Architecture, Shapes, expected_shapes, fill_computed, infer
from .infer_eomt import EncoderOnlyArchitecture, expected_eomt_shapes, infer_eomt
from .key_map import KeyMap, Substitution, rename
from .keys_detectron2 import DETECTRON2, OLD_NAMES, name_deep_stem
from .keys_detectron2 import TO_DISK as DETECTRON2_TO_DISK
from .keys_mmdet import MMDET, OF_VIDEOS, OTHER_NAMES
from .keys_transformers import ENCODER, TO_DISK, TRANSFORMERS
from .members import MEMBERS, member_of
from .read import RawCheckpoint, read_raw
from .report import Report

NO_OBJECT_WEIGHT = 0.1
EMPTY_WEIGHT = 'criterion.empty_weight'
AnyArchitecture = Architecture | EncoderOnlyArchitecture


class Format(NamedTuple):
    """A format of whole models.

    Attributes:
        known_by: A regular expression that fits a name of this format and of no other.
        keys: The table of names of every member of the family that the format has, or what makes it from the names
            and shapes of a model, ours or theirs.
        renames: Names of other ages of the format, as the tables know them.
        writes: The tables' names, as they are written, of Mask2Former and of MaskFormer.
        makes: ``(architecture, meta) -> tensors`` that the format has besides.
        of_videos: What becomes of the written names where the model is one of videos.
    """

    known_by: str
    keys: Mapping[str, KeyMap | Callable[[Mapping[str, Tensor]], KeyMap]]
    renames: list[Substitution]
    writes: tuple[list[Substitution], list[Substitution]] = ([], [])
    makes: Callable[[AnyArchitecture, Mapping], dict[str, Tensor]] = lambda arch, meta: {}
    of_videos: list[Substitution] = []

    def table(self, member: str, state: Mapping[str, Tensor]) -> KeyMap:
        """The table of names for the weights of a member."""
        keys = self.keys[member]
        return keys if isinstance(keys, KeyMap) else keys(state)


def _empty_weight(arch: AnyArchitecture, meta: Mapping) -> dict[str, Tensor]:
    if isinstance(arch, Architecture) and arch.known_classes:
        return {}
    weights = [1.0] * arch.num_classes + [meta.get('no_object_weight', NO_OBJECT_WEIGHT)]
    return {EMPTY_WEIGHT: torch.tensor(meta.get('class_weights', weights))}


def _transformers_makes(arch: AnyArchitecture, meta: Mapping) -> dict[str, Tensor]:
    made = _empty_weight(arch, meta)
    if arch.backbone.kind == 'swin':  # never applied, but transformers has it and would say that it is missing
        made[f'{ENCODER}swin.layernorm.weight'] = torch.ones(arch.backbone.channels[-1])
        made[f'{ENCODER}swin.layernorm.bias'] = torch.zeros(arch.backbone.channels[-1])
    return made


OURS = KeyMap([('{rest*}', '{rest*}')])
FORMATS = {
    'mask2former': Format(
        r'(module\.)?head\.((query_embed|classifier)\.weight|mask_probability)',
        dict.fromkeys(MEMBERS, OURS),
        [(r'^module\.', '')],
    ),
    'transformers': Format(
        r'(module\.)?(model\.transformer_module\..+|attn_mask_probs|upscale_block\..+)',
        dict(keys_maskformer.TRANSFORMERS, mask2former=TRANSFORMERS, eomt=keys_eomt.transformers),
        keys_maskformer.NAMES_ON_DISK,
        (TO_DISK, keys_maskformer.TO_DISK),
        _transformers_makes,
    ),
    'detectron2': Format(
        r'(module\.)?sem_seg_head\..+',
        dict(keys_maskformer.DETECTRON2, mask2former=DETECTRON2),
        OLD_NAMES,
        (DETECTRON2_TO_DISK, DETECTRON2_TO_DISK),
        makes=_empty_weight,
    ),
    'mmdet': Format(
        r'(module\.)?(panoptic|decode|track)_head\.query_embed\.weight',
        dict(keys_maskformer.MMDET, mask2former=MMDET),
        OTHER_NAMES,
        of_videos=OF_VIDEOS,
    ),
    'eomt': Format(
        r'network\.(_orig_mod\.)?(class_head|q|attn_mask_probs)\b.*',
        dict(eomt=keys_eomt.reference),
        [(r'\b_orig_mod\.', '')],
        makes=keys_eomt.reference_makes,
    ),
}


class Checkpoint(NamedTuple):
    """A checkpoint of a whole model with our names.

    Attributes:
        state: All weights of the model.
        meta: mmengine's ``meta``: ``dataset_meta`` where the file says its classes, ``no_object_weight``, and
            ``class_weights`` where the loss weighs classes unequally, and the weights' ``license`` where it is known;
            ``of_videos``, true where they are known to be those of a model of videos, for which mmdet has other names.
        report: What became of every weight of the file.
    """

    state: dict[str, Tensor]
    meta: dict
    report: Report


def recognise(state: Mapping[str, Tensor]) -> str | None:
    """The format of a state dict, a key of ``FORMATS``; None if it is no whole Mask2Former."""
    for name, format in FORMATS.items():
        pattern = re.compile(format.known_by)
        if any(pattern.fullmatch(key) for key in state):
            return name
    return None


def read_checkpoint(
    path: str | Path, *, ignore_unknown: bool = False, base: Mapping[str, Tensor] | None = None
) -> Checkpoint:
    """Read a checkpoint of any format.

    Args:
        path: A file, or a folder of transformers.
        ignore_unknown: Whether weights that the format does not know are left out instead of being refused.
        base: What :func:`.read_backbone` gives of the DINOv3 from whose weights the file holds differences.

    Returns:
        Checkpoint: Of all weights of our model; of another backbone than ResNet and Swin, of those that are there.

    Raises:
        MissingFileError: If there is none.
        CheckpointError: If it is no checkpoint of a Mask2Former, is damaged or incomplete, or could run code.
    """
    return convert_raw(read_raw(path), str(path), ignore_unknown=ignore_unknown, base=base)


def convert_raw(
    raw: RawCheckpoint, path: str, *, ignore_unknown: bool = False, base: Mapping[str, Tensor] | None = None
) -> Checkpoint:
    """A checkpoint with our names from one as it was read; see :func:`read_checkpoint`."""
    source = recognise(raw.state)
    if source is None:
        first = next(iter(raw.state))
        raise CheckpointError(
            f"'{path}' is no checkpoint of a Mask2Former that is known here (its first weight is "
            f"'{first}'): give one of detectron2, mmdet, mmseg, transformers, tue-mps/eomt or mask2former."
        )
    if are_differences(raw.state) and base is None:
        raise CheckpointError(
            f"'{path}' holds differences from DINOv3's weights, which tue-mps/eomt publishes in their place: add them "
            'with tools/model_converters/convert.py --base (docs/checkpoints.md).'
        )
    if base is not None and not are_differences(raw.state):
        raise CheckpointError(f"'{path}' holds weights, not differences from a base's: leave the base out.")
    try:
        format = FORMATS[source]
        named = rename(name_deep_stem(raw.state), format.renames)
        member = member_of(named)
        if member not in format.keys:
            raise CheckpointError(f"holds the weights of '{member}', which {source} has not")
        converted = format.table(member, named).read(named)
        if converted.unknown and not ignore_unknown:
            raise CheckpointError(
                f"holds {len(converted.unknown)} weights that '{member}' of the format {source} "
                f"has not, such as '{converted.unknown[0]}'"
            )
        if base is not None:
            converted.state.update(add_base(converted.state, base))
        arch = infer_eomt(converted.state) if member == 'eomt' else infer(converted.state)
        if arch.backbone.kind == 'other' and source in ('detectron2', 'transformers'):
            raise CheckpointError('lacks a backbone that is known here, a ResNet or a Swin')
        shapes = expected_eomt_shapes(arch) if isinstance(arch, EncoderOnlyArchitecture) else expected_shapes(arch)
        made = fill_computed(converted.state, shapes)
        dropped = converted.dropped | dict.fromkeys(converted.unknown, 'no rule fits it')
        _check(converted.state, shapes, arch, dropped if ignore_unknown else None)
    except ValueError as error:
        raise CheckpointError(
            f"'{path}' {_as_clause(str(error))}: it is damaged, incomplete or of another model."
        ) from error
    report = Report(source, arch, len(raw.state), len(converted.state), dropped | raw.rest, made)
    return Checkpoint(converted.state, _meta(raw, named, report), report)


def to_format(checkpoint: Checkpoint, target: str) -> tuple[dict[str, Tensor], Report]:
    """A checkpoint's weights under the names of a format.

    Args:
        checkpoint: One with our names.
        target: A key of ``FORMATS``.

    Returns:
        tuple[dict[str, Tensor], Report]: The state dict, and the report of both conversions.
    """
    format, source = FORMATS[target], checkpoint.report
    member = source.architecture.member
    if member not in format.keys:
        raise CheckpointError(f"'{member}' has no place in a checkpoint of {target}: write one of mask2former.")
    converted = format.table(member, checkpoint.state).write(checkpoint.state)
    if converted.unknown:
        raise CheckpointError(
            f"The weight '{converted.unknown[0]}' has no place in a checkpoint of {target}, which "
            'knows ResNet and Swin only: write one of mmdet or mask2former.'
        )
    made = format.makes(source.architecture, checkpoint.meta)
    state = rename(converted.state | made, format.writes[member.startswith('maskformer')])
    if checkpoint.meta.get('of_videos'):
        state = rename(state, format.of_videos)
    added = source.made | dict.fromkeys(made, f'{target} has it, and it follows from the architecture')
    added = {name: reason for name, reason in added.items() if name not in converted.dropped}
    return state, Report(
        source.source,
        source.architecture,
        source.read,
        len(state),
        source.dropped | {name: reason for name, reason in converted.dropped.items() if name not in source.made},
        added,
    )


def _as_clause(text: str) -> str:
    return text if re.match(r'holds|lacks|has ', text) else f'cannot be converted, because {text}'


def _check(state: dict[str, Tensor], shapes: Shapes, arch: AnyArchitecture, dropped: dict[str, str] | None) -> None:
    """See that there is every weight and no other, each with its shape and a type that it can have.

    ``dropped`` takes those that are too many; without it they are refused.
    """
    missing = [name for name in shapes if name not in state]
    if missing:
        raise CheckpointError(f"lacks {len(missing)} of the {len(shapes)} weights of {arch}, such as '{missing[0]}'")
    for name in list(state):
        value, shape = state[name], shapes.get(name)
        if shape is None and not (arch.backbone.kind == 'other' and name.startswith('backbone.')):
            if dropped is None:
                raise CheckpointError(f"holds '{name}', which {arch} has not")
            del state[name]
            dropped[name] = 'the model has no such weight'
        elif shape is not None and tuple(value.shape) != shape:
            raise CheckpointError(f"holds '{name}' in the shape {tuple(value.shape)} instead of {shape}")
        elif shape is not None and value.is_floating_point() == name.endswith((INDEX, 'num_batches_tracked')):
            raise CheckpointError(f"holds '{name}' as {value.dtype}, which cannot be".replace('torch.', ''))


def _meta(raw: RawCheckpoint, named: Mapping[str, Tensor], report: Report) -> dict:
    """mmengine's ``meta``, with what other formats say elsewhere."""
    meta = {name: value for name, value in raw.meta.items() if name != 'config'}
    data = meta.get('dataset_meta') or {}
    if not data.get('classes'):  # mmdet 3.0 and mmdet 2
        classes = data.get('CLASSES') or meta.get('CLASSES')
        meta |= dict(dataset_meta=dict(data, classes=tuple(classes))) if classes else {}
    labels = (raw.meta.get('config') or {}).get('id2label')
    if isinstance(labels, Mapping) and len(labels) == report.architecture.num_classes:
        names = [labels.get(str(i), labels.get(i)) for i in range(len(labels))]
        if all(isinstance(name, str) and not re.fullmatch(r'LABEL_\d+', name) for name in names):
            meta['dataset_meta'] = dict(classes=tuple(names))
    if any(re.match(r'(module\.)?track_head\.', name) for name in raw.state):
        meta['of_videos'] = True
    weight = named.get(EMPTY_WEIGHT)
    if weight is not None and tuple(weight.shape) == (report.architecture.num_classes + 1,):
        meta['no_object_weight'] = weight[-1].item()
        if not torch.equal(weight[:-1], torch.ones_like(weight[:-1])):
            meta['class_weights'] = weight.tolist()
        report.dropped[EMPTY_WEIGHT] = 'weights of the classes in the loss, which meta keeps where they are not 1'
    return meta
