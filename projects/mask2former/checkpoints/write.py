"""Write a checkpoint in the format of any project, as that project's own code reads it."""

import json
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mask2former.errors import CheckpointError, MissingPackageError
from mask2former.formats.files import write_atomically, write_text

from .convert import NO_OBJECT_WEIGHT, AnyArchitecture, Checkpoint, Report, to_format
from .infer import Architecture
from .infer_eomt import EncoderOnlyArchitecture
from .read import CHECKSUM, META, checksum

KEPT_META = ('dataset_meta', 'no_object_weight', 'class_weights', 'license', 'of_videos')
AUTHOR = 'mask2former, tools/model_converters/convert.py'
# How the names of files end that a format is written to; transformers has a folder.
ENDINGS = {
    'mask2former': ('.pth', '.safetensors'),
    'detectron2': ('.pkl', '.pth'),
    'mmdet': ('.pth',),
    'eomt': ('.bin', '.pth'),
    'transformers': (),
}


def write_checkpoint(checkpoint: Checkpoint, path: str | Path, target: str) -> Report:
    """Write a checkpoint.

    Args:
        checkpoint: One with our names.
        path: A file whose name ends as ``ENDINGS`` says, or a folder for transformers.
        target: A key of :data:`mask2former.checkpoints.convert.FORMATS`.

    Returns:
        What became of every weight.

    Raises:
        CheckpointError: If the format has no place for a weight or is not written to such a file.
    """
    path = Path(path)
    check_ending(path, target)
    state, report = to_format(checkpoint, target)
    meta = {key: value for key, value in checkpoint.meta.items() if key in KEPT_META}
    license = dict(meta=dict(license=meta['license'])) if 'license' in meta else {}  # all formats keep it
    if target == 'transformers':
        config = transformers_config(report.architecture, checkpoint.meta)
        write_safetensors(state, path / 'model.safetensors', license.get('meta'))
        write_text(path / 'config.json', json.dumps(config, indent=2) + '\n')
    elif path.suffix == '.pkl':
        arrays = {name: value.contiguous().numpy() for name, value in state.items()}
        content = dict(model=arrays, __author__=AUTHOR, **license)
        write_atomically(path, lambda part: _write_pickle(content, part))
    elif path.suffix == '.safetensors':
        write_safetensors(state, path, meta)
    else:
        state = _own_storages(state)
        content = dict(model=state, **license) if target == 'detectron2' else dict(meta=meta, state_dict=state)
        write_atomically(path, lambda part: torch.save(content, part))
    return report


def check_ending(path: str | Path, target: str) -> None:
    """See that a format is written to a file of such a name, or to a folder.

    Raises:
        CheckpointError: If it is not.
    """
    path, endings = Path(path), ENDINGS[target]
    if path.is_file() and not endings:
        raise CheckpointError(f"'{path}' is a file, but {target} takes a folder: give the name of one.")
    if endings and path.suffix not in endings:
        raise CheckpointError(f"'{path}' is no name for a checkpoint of {target}: end it in {' or '.join(endings)}.")
    if not endings and path.suffix in {ending for others in ENDINGS.values() for ending in others}:
        raise CheckpointError(f"'{path}' is the name of a file, but {target} takes a folder: leave out {path.suffix}.")
    if endings and path.is_dir():
        raise CheckpointError(f"'{path}' is a folder, but {target} takes a file: give the name of one.")


def write_safetensors(state: Mapping[str, Tensor], path: Path, meta: Mapping | None) -> None:
    """Write weights and, unless it is None, what mmengine calls ``meta``, in which nothing but JSON is kept."""
    try:
        from safetensors.torch import save_file
    except ModuleNotFoundError:
        raise MissingPackageError(f"'{path}' is written with safetensors: pip install safetensors.") from None
    state = _own_storages(state)
    metadata = {'format': 'pt', CHECKSUM: checksum(state)} | ({} if meta is None else {META: json.dumps(meta)})
    write_atomically(path, lambda part: save_file(state, part, metadata=metadata))


class _Pickler(pickle._Pickler):  # Python's own, whose parts have no types
    """Calls numpy's function by the name that numpy 1 gives it: numpy 2 knows that one, too."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if getattr(obj, '__module__', None) == 'numpy._core.multiarray':
            self.write(pickle.GLOBAL + f'numpy.core.multiarray\n{obj.__name__}\n'.encode())  # type: ignore[attr-defined]
            self.memoize(obj)  # type: ignore[attr-defined]
        else:
            super().save_global(obj, name)  # type: ignore[misc]


def _write_pickle(content: dict, path: Path) -> None:
    with open(path, 'wb') as file:
        _Pickler(file, protocol=4).dump(content)


def _own_storages(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with memory of its own for each: a part of a tensor would be saved with the whole."""
    return OrderedDict((name, value.contiguous().clone()) for name, value in state.items())


def transformers_config(arch: AnyArchitecture, meta: Mapping) -> dict:
    """The ``config.json`` of transformers' Mask2Former, MaskFormer or EoMT.

    Args:
        arch: What the weights tell.
        meta: ``dataset_meta`` for the names of the classes, ``no_object_weight``.

    Raises:
        CheckpointError: If transformers has no such model.
    """
    if isinstance(arch, EncoderOnlyArchitecture):
        return _eomt_config(arch, _labels(arch, meta))
    sizes, maskformer = arch.backbone, arch.member == 'maskformer'
    if sizes.kind == 'other' or not (maskformer or (arch.num_levels == 3 and arch.num_heads)):
        raise CheckpointError(
            'transformers has no such model: a Mask2Former must have a ResNet or a Swin, three levels, and four points '
            'in the deformable attention; a MaskFormer a ResNet or a Swin, and no encoder.'
        )
    features = [f'stage{i}' for i in range(1, 5)]
    if sizes.kind == 'swin':
        backbone = dict(
            model_type='swin',
            embed_dim=sizes.width,
            depths=list(sizes.depths),
            num_heads=list(sizes.heads),
            window_size=sizes.window,
            image_size=384 if sizes.window == 12 else 224,
            drop_path_rate=0.3,
        )
    else:
        backbone = dict(
            model_type='resnet',
            embedding_size=sizes.width,
            hidden_sizes=list(sizes.channels),
            depths=list(sizes.depths),
            layer_type='bottleneck' if sizes.bottleneck else 'basic',
            downsample_in_bottleneck=False,
        )
    backbone['out_features'] = features
    labels = _labels(arch, meta)
    return _maskformer_config(arch, backbone, labels) if maskformer else _mask2former_config(arch, backbone, labels)


def _labels(arch: AnyArchitecture, meta: Mapping) -> dict:
    classes = (meta.get('dataset_meta') or {}).get('classes') or ()
    if len(classes) != arch.num_classes:
        classes = [f'LABEL_{i}' for i in range(arch.num_classes)]
    return dict(
        no_object_weight=meta.get('no_object_weight', NO_OBJECT_WEIGHT),
        id2label={str(i): name for i, name in enumerate(classes)},
        label2id={name: i for i, name in enumerate(classes)},
    )


def _eomt_config(arch: EncoderOnlyArchitecture, labels: dict) -> dict:
    rotated, gated = arch.layout.rotated, arch.layout.gated
    if rotated:
        own = dict(intermediate_size=arch.ffn_dims, use_gated_mlp=gated, key_bias=arch.key_bias)
    else:
        own = dict(mlp_ratio=4 if gated else arch.ffn_dims // arch.embed_dims, use_swiglu_ffn=gated)
    sizes = {} if arch.grid_size is None else dict(image_size=arch.grid_size[0] * arch.patch_size)
    return dict(
        architectures=[f'Eomt{"Dinov3" if rotated else ""}ForUniversalSegmentation'],
        model_type='eomt_dinov3' if rotated else 'eomt',
        hidden_size=arch.embed_dims,
        num_hidden_layers=arch.layout.backbone + arch.layout.head,
        num_attention_heads=arch.num_heads,
        num_blocks=arch.layout.head,
        patch_size=arch.patch_size,
        num_register_tokens=arch.num_registers,
        num_upscale_blocks=arch.num_upscales,
        num_queries=arch.num_queries,
        **sizes,
        **own,
        **labels,
    )


def _mask2former_config(arch: Architecture, backbone: dict, labels: dict) -> dict:
    return dict(
        architectures=['Mask2FormerForUniversalSegmentation'],
        model_type='mask2former',
        backbone_config=backbone,
        feature_size=arch.embed_dims,
        hidden_dim=arch.embed_dims,
        mask_feature_size=arch.mask_dims,
        encoder_layers=arch.encoder_layers,
        encoder_feedforward_dim=arch.encoder_ffn,
        decoder_layers=arch.decoder_layers + 1,  # it counts the predictions
        dim_feedforward=arch.decoder_ffn,
        num_attention_heads=arch.num_heads,
        num_queries=arch.num_queries,
        dropout=0.0,
        pre_norm=False,
        enforce_input_projection=False,
        **labels,
    )


def _maskformer_config(arch: Architecture, backbone: dict, labels: dict) -> dict:
    if backbone['model_type'] == 'swin':
        backbone['model_type'] = 'maskformer-swin'
    return dict(
        architectures=['MaskFormerForInstanceSegmentation'],
        model_type='maskformer',
        backbone_config=backbone,
        decoder_config=dict(
            model_type='detr',
            d_model=arch.embed_dims,
            decoder_layers=arch.decoder_layers,
            decoder_attention_heads=8,
            decoder_ffn_dim=arch.decoder_ffn,
            num_queries=arch.num_queries,
        ),
        fpn_feature_size=arch.embed_dims,
        mask_feature_size=arch.mask_dims,
        num_attention_heads=8,
        **labels,
    )
