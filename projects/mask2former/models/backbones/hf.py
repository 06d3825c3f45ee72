"""Backbones of transformers by their name on the Hugging Face hub, or by their sizes."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor

from mask2former.checkpoints.backbones import read_address
from mask2former.checkpoints.description import read_description
from mask2former.checkpoints.zoo import HUB
from mask2former.errors import CheckpointError, ConfigError, MissingPackageError, near_names
from mask2former.models.normalization import Normalization
from mask2former.registry import MODELS

from .library import LibraryBackbone, more_blocks, short

# Plain transformers that transformers has no backbone class of; their last tokens are taken as they are.
PLAIN = ('deit', 'vit', 'vit_msn')
# Of a FocalNet's stage transformers gives what the next stage gets, at twice the stride; of the last its own features.
INDICES = dict(focalnet=(0, 1, 2, 4))


@MODELS.register_module()
class HFBackbone(LibraryBackbone):
    """A backbone of transformers: ConvNeXt, Swin V2, DINOv2, DINOv3, ResNet, BEiT, ViT and whatever else its
    ``AutoBackbone`` knows. transformers is imported when one is built.

    Args:
        name: ``owner/name`` on the hub, or a folder as ``save_pretrained`` writes it. Its ``config.json`` says the
            sizes, its ``preprocessor_config.json`` how images are normalised. They are fetched once.
        config: The sizes as transformers names them, with ``model_type``. Then nothing is fetched before the weights
            are loaded, and ``name`` may be left out.
        pretrained: Whether :meth:`init_weights` loads the weights of ``name``; or the address of others: a file, a
            folder, ``https://``, ``hf://`` or ``package://``.
        in_channels: Bands of the images. Weights for another number are adapted, see :func:`adapt_input_conv`.
        out_indices: Which features are returned, as transformers counts them (0 is the stem in most of its models). By
            default those of all stages; of a plain transformer the last.
        drop_path_rate: Share of the images for which a branch is left out in training; by default what ``config`` says.
        frozen_stages: See :class:`LibraryBackbone`, as ``norm_eval`` and ``with_cp``.
        norm_eval: Whether batch norms keep their running statistics in training.
        with_cp: Whether to compute each block once more in the backward pass.

    Raises:
        MissingPackageError: If transformers is not installed.
        ConfigError: If it does not know such a backbone or such a setting.
        CheckpointError: If the description cannot be fetched.
    """

    def __init__(
        self,
        name: str | None = None,
        config: Mapping | None = None,
        pretrained: bool | str = True,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        drop_path_rate: float | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
    ) -> None:
        home = None if name is None or '://' in name or Path(name).expanduser().exists() else f'{HUB}{name}'
        home = home or name
        if home is None and (config is None or pretrained is True):
            raise ConfigError(
                "HFBackbone needs name='owner/name' of the Hugging Face hub, or config=dict(model_type=..., ...) with "
                'pretrained=False or the path of weights.'
            )
        described = config or _describe(str(home))
        self.config = _config(described, f"'{name or described.get('model_type')}'")
        self.bands = self.config.num_channels  # of the pretrained weights
        self.config.num_channels = in_channels
        weights = {True: home, False: None}[pretrained] if isinstance(pretrained, bool) else pretrained
        local = config is None or (weights is not None and Path(weights).expanduser().exists())
        if drop_path_rate is not None:
            if not hasattr(self.config, 'drop_path_rate'):
                raise ConfigError(f'{self.config.model_type} has no drop_path_rate: leave it out.')
            self.config.drop_path_rate = drop_path_rate
        if self.config.model_type not in PLAIN:
            _set_out_indices(self.config, out_indices)
        elif out_indices is not None:
            raise ConfigError(f'{self.config.model_type} gives its last features only: leave out_indices out.')
        super().__init__(
            _build(self.config),
            title=f"HFBackbone '{name or self.config.model_type}'",
            weights=weights,
            normalization=_normalization(weights) if weights is not None and local else None,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
        )

    def features(self, x: Tensor) -> Sequence[Tensor]:
        """Features (B, channels, H/stride, W/stride) of images (B, in_channels, H, W), fine to coarse."""
        if self.config.model_type not in PLAIN:
            return self.model(x).feature_maps
        h, w = (size // self.config.patch_size for size in x.shape[-2:])
        tokens = self.model(x, interpolate_pos_encoding=True).last_hidden_state  # (B, n + h*w, C)
        return (tokens[:, -h * w :].transpose(1, 2).unflatten(2, (h, w)),)

    def init_weights(self) -> None:
        """See :meth:`LibraryBackbone.init_weights`; how images are normalised is known then, too."""
        if not self.is_init and self.weights is not None and self.normalization is None:  # type: ignore[has-type]
            self.normalization = _normalization(self.weights)
        super().init_weights()

    def read_weights(self, address: str) -> dict[str, Tensor]:
        """See :meth:`LibraryBackbone.read_weights`. transformers renames what is written in its older versions."""
        state = read_address(address).state
        config = copy.deepcopy(self.config)
        config.num_channels = self.bands
        options = {'add_pooling_layer': False} if config.model_type in PLAIN else {}
        with _quiet():
            model_class: Any = type(self.model)
            model, info = model_class.from_pretrained(
                None,
                config=config,
                state_dict=dict(state),
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
        loaded = model.state_dict()
        deeper = more_blocks(sorted(info['unexpected_keys']), loaded)
        if deeper is not None:
            raise self._misfit(f"'{deeper}' has no place in it")
        wrong = {name: shapes for name, *shapes in info['mismatched_keys']}  # of a set, whose order says nothing
        for name in loaded:
            if name in wrong:
                theirs, ours = wrong[name]
                raise self._misfit(f"'{name}' has the shape {tuple(theirs)} instead of {tuple(ours)}")
        return {name: value for name, value in loaded.items() if name not in info['missing_keys']}


def _describe(address: str) -> dict:
    described = read_description(address, 'config.json')
    if described is None:
        raise CheckpointError(
            f"'{address}' has no config.json: give a model of the hub or the folder of one, or config=dict(...)."
        )
    return described


def _config(described: Mapping, title: str) -> Any:
    """transformers' config; what a person wrote in it is held against the names that it knows."""
    try:
        from transformers import CONFIG_MAPPING, AutoConfig
    except ModuleNotFoundError:
        raise MissingPackageError(
            f'HFBackbone {title} is a model of transformers, which is not installed: pip install transformers.'
        ) from None
    described = described.to_dict() if isinstance(described, ConfigDict) else dict(described)
    described = {key: list(value) if isinstance(value, tuple) else value for key, value in described.items()}
    model_type = described.pop('model_type', None)
    if model_type not in CONFIG_MAPPING:
        near = near_names(str(model_type), CONFIG_MAPPING)
        raise ConfigError(f'HFBackbone {title} has the model_type {model_type!r}, unknown to transformers: {near}')
    try:
        known = AutoConfig.for_model(model_type).to_dict() | {'out_indices': None, 'out_features': None}
        config = AutoConfig.for_model(model_type, **described)
    except Exception as error:  # a wrong type has a class of its own, in huggingface_hub
        raise ConfigError(f'HFBackbone {title} has the model_type {model_type!r}: {short(error)}.') from error
    if model_type not in PLAIN and not hasattr(config, 'stage_names'):
        raise ConfigError(
            f"HFBackbone {title}: transformers has no backbone of the type '{model_type}'; choose another."
        )
    foreign = [] if 'transformers_version' in described else [key for key in described if key not in known]
    if foreign:
        raise ConfigError(f"'{foreign[0]}' is no setting of a {model_type}: {near_names(foreign[0], known)}")
    return config


def _set_out_indices(config: Any, out_indices: Sequence[int] | None) -> None:
    names = config.stage_names
    if out_indices is None:
        stages = len(getattr(config, 'depths', ()))  # a plain transformer has no such setting
        out_indices = range(len(names) - stages, len(names)) if stages else [len(names) - 1]
        out_indices = INDICES.get(config.model_type, out_indices)
    try:
        config.out_indices = list(out_indices)
    except ValueError as error:
        raise ConfigError(f'out_indices of {config.model_type}: {short(error)}.') from error


def _build(config: Any) -> Any:
    from transformers import AutoBackbone, AutoModel

    if config.model_type in PLAIN:
        return AutoModel.from_config(config, add_pooling_layer=False, dtype=torch.float32)
    try:
        return AutoBackbone.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise ConfigError(f'{config.model_type} cannot be built as a backbone: {short(error)}.') from error


def _normalization(address: str) -> Normalization | None:
    """What the image processor of these weights does."""
    file = 'preprocessor_config.json'
    described = read_description(address, file)
    if described is None or 'image_mean' not in described or 'image_std' not in described:
        return None
    mean, std = (x if isinstance(x, list) else [x] * 3 for x in (described['image_mean'], described['image_std']))
    if not described.get('do_normalize', True):
        mean, std = [0.0] * 3, [1.0] * 3
    scale = 1 / described.get('rescale_factor', 1 / 255) if described.get('do_rescale', True) else 1.0
    return Normalization.of_unit(mean, std, f"{file} of '{address}'", scale)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report and progress bar: what it would say is an error of ours, or in the log."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
