"""What backbones of other libraries share: their weights, what is frozen, what is recomputed."""

import functools
import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.model.weight_init import update_init_info
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mask2former.errors import CheckpointError, ConfigError
from mask2former.models.layers import run
from mask2former.models.normalization import Normalization

from .input_conv import adapt_input_conv, input_conv
from .layer_order import LayerOrder, blocks_of, layer_order


class LibraryBackbone(BaseModule):
    """A model of another library as a backbone. Its weights are loaded by :meth:`init_weights`, not when it is built.

    Args:
        model: The library's model, with random weights, for images of ``in_channels`` bands.
        title: What messages call it.
        weights: Address of its pretrained weights, None for random ones.
        normalization: How images are normalised for these weights, None where it is not known yet.
        frozen_stages: Stages up to this one are not trained, -1 for none, 0 for what comes before the first; of a plain
            transformer the blocks.
        norm_eval: Whether every batch norm keeps its running statistics in training.
        with_cp: Whether to compute each block once more in the backward pass instead of keeping its features: less
            memory, more time.

    Raises:
        ConfigError: If there are fewer stages, or if ``with_cp`` would count the statistics of batch norms twice.
    """

    def __init__(
        self,
        model: nn.Module,
        title: str,
        weights: str | None,
        normalization: Normalization | None,
        frozen_stages: int,
        norm_eval: bool,
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.title = title
        self.weights = weights
        self.normalization = normalization
        self.norm_eval = norm_eval
        self._freeze_unused()
        self._freeze(frozen_stages)
        if with_cp:
            self._recompute_blocks()

    @abstractmethod
    def features(self, x: Tensor) -> Sequence[Tensor]:
        """Features (B, channels, H/stride, W/stride) of images (B, in_channels, H, W), fine to coarse."""

    @abstractmethod
    def read_weights(self, address: str) -> dict[str, Tensor]:
        """Read pretrained weights.

        Returns:
            Weights under the model's names, those of the first convolution for any number of bands. Names that the
            weights lack are left out.

        Raises:
            MissingFileError: If there are none.
            CheckpointError: If they cannot be read or do not fit.
        """

    def layer_order(self) -> LayerOrder:
        """Where each parameter stands."""
        return layer_order(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features (B, channels, H/stride, W/stride) of images (B, in_channels, H, W), fine to coarse."""
        return tuple(self.features(x))

    def init_weights(self) -> None:
        """Load the pretrained weights, once; without any, the library has made random ones.

        Raises:
            MissingFileError: If there are none.
            CheckpointError: If they cannot be read or do not fit.
        """
        if self.is_init or self.weights is None:  # type: ignore[has-type]  # mmengine's property has no type
            return
        state, own = self.read_weights(self.weights), self.model.state_dict()
        name, conv = input_conv(self.model)
        weight = f'{name}.weight'
        if weight in state:
            state[weight] = adapt_input_conv(state[weight], conv.in_channels)
        self._check_fit(state, own)
        self.model.load_state_dict(state, strict=False)
        missing = [name for name in own if name not in state]
        rest = f'; {len(missing)} keep their initialisation, such as {missing[0]}' if missing else ''
        print_log(f'{self.title}: {len(state)} weights are loaded from {self.weights}{rest}.', logger='current')
        if hasattr(self, '_params_init_info'):  # there while a whole model is initialised: the log says who did it
            update_init_info(self, init_info=f'loaded from {self.weights}')
        self.is_init = True

    def train(self, mode: bool = True) -> 'LibraryBackbone':
        """Switch the mode; batch norms that are frozen, or all with ``norm_eval``, keep their statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and (self.norm_eval or not getattr(module.weight, 'requires_grad', True)):
                module.eval()
        return self

    def _check_fit(self, state: dict[str, Tensor], own: dict[str, Tensor]) -> None:
        """See that weights have the model's shapes; only vectors, such as those of a last norm, may be missing."""
        wrong = next((name for name in own if name in state and state[name].shape != own[name].shape), None)
        if wrong is not None:
            raise self._misfit(
                f"'{wrong}' has the shape {tuple(state[wrong].shape)} instead of {tuple(own[wrong].shape)}"
            )
        missing = next((name for name, value in own.items() if name not in state and value.dim() > 1), None)
        if missing is not None:
            raise self._misfit(f"it lacks '{missing}'")

    def _misfit(self, detail: str) -> CheckpointError:
        return CheckpointError(
            f"'{self.weights}' does not fit {self.title}: {detail}; give weights of this architecture."
        )

    def _freeze_unused(self) -> None:
        """Freeze weights that have no part in the features, such as a last norm: processes that train together would
        wait for their gradients.

        Raises:
            ConfigError: If the model does not take images of a size like this.
        """
        training = self.training
        self.eval()
        _, conv = input_conv(self.model)
        size = 128
        try:
            with torch.enable_grad():
                features = self.features(torch.zeros(1, conv.in_channels, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f'{self.title} does not take images of {size} x {size} ({short(error)}); choose a model that takes '
                'any size.'
            ) from error
        self.train(training)
        used, seen = set(), set()
        nodes: list[Any] = [feature.grad_fn for feature in features]
        while nodes:
            node = nodes.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            used.add(getattr(node, 'variable', None))
            nodes += [following for following, _ in node.next_functions]
        for parameter in self.parameters():
            if parameter not in used:
                parameter.requires_grad_(False)

    def _freeze(self, frozen_stages: int) -> None:
        stages = self.layer_order().stages
        last = max(stages.values(), default=0)
        if not -1 <= frozen_stages <= last:
            raise ConfigError(f'frozen_stages of {self.title} must lie in -1 .. {last}, but is {frozen_stages}.')
        for name, parameter in self.named_parameters():
            if stages[name] <= frozen_stages:
                parameter.requires_grad_(False)

    def _recompute_blocks(self) -> None:
        blocks = blocks_of(self.model)
        if not self.norm_eval and any(isinstance(part, _BatchNorm) for block in blocks for part in block.modules()):
            raise ConfigError(
                f'with_cp of {self.title} would update the statistics of its batch norms twice in each step: set '
                'norm_eval=True, or leave with_cp out.'
            )
        for block in blocks:
            # A partial of a bound method goes with the block where a model is copied; a closure would not.
            block.forward = functools.partial(_run_block, block.forward)  # type: ignore[method-assign]


def _run_block(forward: Any, *inputs: Any, **options: Any) -> Any:
    return run(functools.partial(forward, **options), *inputs, recompute=True, random=True)


def more_blocks(unexpected: Iterable[str], own: Iterable[str]) -> str | None:
    """The first of ``unexpected`` that is a weight of ``own`` but for its numbers: weights of a deeper model.

    What precedes a name, such as ``convnext.``, is not looked at.
    """
    patterns = tuple({f'.{pattern}' for name in own if '#' in (pattern := re.sub(r'\d+', '#', name))})
    return next((name for name in unexpected if f'.{re.sub(r"[0-9]+", "#", name)}'.endswith(patterns)), None)


def short(error: BaseException) -> str:
    """The start of what a library says, on one line."""
    return ' '.join(str(error).split())[:120]
