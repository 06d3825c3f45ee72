"""Backbones of timm by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mask2former.checkpoints.backbones import read_address
from mask2former.checkpoints.zoo import HUB
from mask2former.errors import ConfigError, MissingPackageError, near_names
from mask2former.models.normalization import Normalization
from mask2former.registry import MODELS

from .library import LibraryBackbone, short

# What lets a model take images of any size, where it has such a setting.
ANY_SIZE: tuple[dict, ...] = (
    dict(dynamic_img_size=True, dynamic_img_pad=True),
    dict(dynamic_img_size=True),
    dict(strict_img_size=False),
    {},
)


@MODELS.register_module()
class TimmBackbone(LibraryBackbone):
    """A backbone of timm, which is imported when one is built.

    Its architecture and how images are normalised are known without network; weights come from timm's models on the
    Hugging Face hub.

    Args:
        name: timm's name, such as ``convnext_tiny.fb_in22k``; what follows the dot names the weights.
        pretrained: Whether :meth:`init_weights` loads the weights of ``name``; or the address of others: a file,
            ``https://``, ``hf://``, ``timm://`` or ``package://``.
        in_channels: Bands of the images. Weights for another number are adapted, see :func:`adapt_input_conv`.
        out_indices: Which features are returned, as timm counts them. By default the coarsest of each stride from 4 on.
        drop_path_rate: Share of the images for which a branch is left out in training.
        options: Further arguments of timm's model, such as ``dict(img_size=512)``.
        frozen_stages: See :class:`LibraryBackbone`, as ``norm_eval`` and ``with_cp``.
        norm_eval: Whether batch norms keep their running statistics in training.
        with_cp: Whether to compute each block once more in the backward pass.

    Raises:
        MissingPackageError: If timm is not installed.
        ConfigError: If it does not know such a model or such an argument.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool | str = True,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        drop_path_rate: float | None = None,
        options: Mapping | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
    ) -> None:
        self.name = name
        self.options = dict(options or {})
        described = _describe(name)
        if drop_path_rate is not None:
            self.options['drop_path_rate'] = drop_path_rate
        self.bands = described.input_size[0]
        model = _build(name, in_chans=in_channels, features_only=True, **self.options)
        if out_indices is None:
            out_indices = last_of_each_stride(model.feature_info)
        if list(out_indices) != list(model.feature_info.out_indices):
            model = _build(
                name, in_chans=in_channels, features_only=True, out_indices=tuple(out_indices), **self.options
            )
        self.channels_last = str(getattr(model, 'output_fmt', 'NCHW')).endswith('NHWC')
        weights: str | None = pretrained if isinstance(pretrained, str) else None
        if pretrained is True:
            weights = f'{HUB}{described.hf_hub_id}'
            if not described.hf_hub_id or described.hf_hub_filename:
                raise ConfigError(
                    f"timm has no weights of '{name}' in a repository of their own on the Hugging Face hub: set "
                    'pretrained=False or to the path of weights, or choose another of timm.list_pretrained().'
                )
        source = f"timm's description of '{name}'"
        super().__init__(
            model,
            title=f"TimmBackbone '{name}'",
            weights=weights,
            normalization=None if weights is None else Normalization.of_unit(described.mean, described.std, source),
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
        )

    def features(self, x: Tensor) -> Sequence[Tensor]:
        """Features (B, channels, H/stride, W/stride) of images (B, in_channels, H, W), fine to coarse."""
        features = self.model(x)
        return [feature.permute(0, 3, 1, 2) for feature in features] if self.channels_last else features

    def read_weights(self, address: str) -> dict[str, Tensor]:
        """See :meth:`LibraryBackbone.read_weights`. timm renames what older versions or other projects wrote."""
        state = read_address(address).state
        classes = _classes(self.name, state)
        try:
            whole = _build(
                self.name,
                pretrained=True,
                pretrained_cfg_overlay=dict(state_dict=state, num_classes=classes, custom_load=False),
                num_classes=classes,
                in_chans=self.bands,
                **self.options,
            )
        except RuntimeError as error:
            raise self._misfit(short(error)) from error
        own = self.model.state_dict()
        return {name: value for key, value in whole.state_dict().items() for name in _names(key) if name in own}


def last_of_each_stride(feature_info: Any) -> list[int]:
    """Of timm's features, those that a decoder needs: the last of each stride from 4 on."""
    last = dict(zip(feature_info.reduction(), feature_info.out_indices))
    return [index for stride, index in last.items() if stride >= 4]


def _describe(name: str) -> Any:
    try:
        import timm
    except ModuleNotFoundError:
        raise MissingPackageError(
            f"TimmBackbone '{name}' is a model of timm, which is not installed: pip install timm."
        ) from None
    architecture = name.partition('.')[0]
    if not timm.is_model(architecture):
        raise ConfigError(f"timm has no model '{name}': {near_names(architecture, timm.list_models())}")
    try:
        return timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        known = timm.list_pretrained(f'{architecture}.*')
        raise ConfigError(f"timm has no weights '{name}': {near_names(name, known)}") from None


def _build(name: str, **arguments: Any) -> Any:
    import timm

    for any_size in ANY_SIZE:
        try:
            return timm.create_model(name, **any_size, **arguments)
        except TypeError as error:
            if not any_size:
                raise ConfigError(f"timm's model '{name}' cannot be built: {short(error)}.") from error
    raise AssertionError('the last of ANY_SIZE returns or raises')


def _classes(name: str, state: Mapping[str, Tensor]) -> int:
    """How many classes weights were trained on; 0 where they have no classifier."""
    import timm

    names = timm.models.get_pretrained_cfg(name).classifier
    names = [names] if isinstance(names, str) else list(names or ())
    return next((len(state[f'{x}.weight']) for x in names if f'{x}.weight' in state), 0)


def _names(key: str) -> tuple[str, ...]:
    """The names that a weight of a whole model may have where timm makes a backbone of it."""
    return key, key.replace('.', '_', 1), f'model.{key}'
