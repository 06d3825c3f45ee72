"""Parameter groups as in the reference: a smaller learning rate for the backbone, no decay on norms and embeddings."""

from mmengine.optim import OptimWrapper
from torch import nn

from mask2former.errors import ConfigError
from mask2former.models.backbones.layer_order import blocks_of, layer_order
from mask2former.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

from .unwrap import unwrap_model

NO_DECAY_MODULES = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Embedding)
NO_DECAY_NAMES = ('relative_position_bias_table', 'absolute_pos_embed')


def check_layer_decay(layer_decay: float) -> None:
    """See that the learning rate falls from the last layer to the first.

    Raises:
        ConfigError: If the factor is not in (0, 1].
    """
    if not 0 < layer_decay <= 1:
        raise ConfigError(f'layer_decay must lie in (0, 1], but is {layer_decay}')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SegOptimWrapperConstructor:
    """Builds the optimizer wrapper of a model.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper, with ``optimizer``.
        paramwise_cfg: ``backbone_lr_mult``, the factor of the backbone's learning rate (0.1 without it), and
            ``layer_decay`` (1 without it): of n blocks of the backbone, in the order of its modules, the i-th has
            ``layer_decay ** (n + 1 - i)`` times that, what precedes the first block as if i were 0 and what follows the
            last one, such as norms of the features, as if it were n + 1 (Bao et al., BEiT, arXiv 2106.08254).

    Raises:
        ConfigError: If ``paramwise_cfg`` has other settings, or if ``layer_decay`` is not in (0, 1].
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        self.backbone_lr_mult = paramwise_cfg.pop('backbone_lr_mult', 0.1)
        self.layer_decay = paramwise_cfg.pop('layer_decay', 1.0)
        if paramwise_cfg:
            raise ConfigError(f'paramwise_cfg knows only backbone_lr_mult and layer_decay, not {sorted(paramwise_cfg)}')
        check_layer_decay(self.layer_decay)
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build."""
        model = unwrap_model(model)
        cfg = dict(self.optim_wrapper_cfg)
        optimizer = dict(cfg.pop('optimizer'))
        # One group for each (learning rate, decay): few groups keep the optimizer's fused loops long.
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        lr, decay = optimizer['lr'], optimizer.get('weight_decay', 0.0)
        factors = self._backbone_factors(model)
        seen = set()
        for module_name, module in model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.requires_grad or parameter in seen:
                    continue
                seen.add(parameter)
                exempt = isinstance(module, NO_DECAY_MODULES) or name in NO_DECAY_NAMES
                key = (lr * factors.get(f'{module_name}.{name}', 1.0), 0.0 if exempt else decay)
                groups.setdefault(key, []).append(parameter)
        optimizer['params'] = [dict(params=p, lr=key[0], weight_decay=key[1]) for key, p in groups.items()]
        cfg.setdefault('type', 'SegOptimWrapper')
        return OPTIM_WRAPPERS.build(cfg, default_args=dict(optimizer=OPTIMIZERS.build(optimizer)))

    def _backbone_factors(self, model: nn.Module) -> dict[str, float]:
        """Name of each parameter of the backbone -> factor of its learning rate."""
        backbone = getattr(model, 'backbone', None)
        if backbone is None:
            return {}
        depths, after = {}, 0
        if self.layer_decay < 1:
            depths, after = layer_order(backbone).depths, len(blocks_of(backbone)) + 1
        return {
            f'backbone.{name}': self.backbone_lr_mult * self.layer_decay ** (after - depths.get(name, after))
            for name, _ in backbone.named_parameters(remove_duplicate=False)
        }
