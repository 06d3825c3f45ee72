"""Parameter groups as in the reference: a smaller learning rate for the backbone, no decay on norms and embeddings."""

from mmengine.optim import OptimWrapper
from torch import nn

from mask2former.errors import ConfigError
from mask2former.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

from .unwrap import unwrap_model

NO_DECAY_MODULES = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Embedding)
NO_DECAY_NAMES = ('relative_position_bias_table', 'absolute_pos_embed')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SegOptimWrapperConstructor:
    """Builds the optimizer wrapper of a model.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper, with ``optimizer``.
        paramwise_cfg: ``backbone_lr_mult``, the factor of the backbone's learning rate (0.1 without it).
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        self.backbone_lr_mult = paramwise_cfg.pop('backbone_lr_mult', 0.1)
        if paramwise_cfg:
            raise ConfigError(f'paramwise_cfg knows only backbone_lr_mult, not {sorted(paramwise_cfg)}')
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build."""
        model = unwrap_model(model)
        cfg = dict(self.optim_wrapper_cfg)
        optimizer = dict(cfg.pop('optimizer'))
        # One group for each (learning rate, decay): few groups keep the optimizer's fused loops long.
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        lr, decay = optimizer['lr'], optimizer.get('weight_decay', 0.0)
        seen = set()
        for module_name, module in model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.requires_grad or parameter in seen:
                    continue
                seen.add(parameter)
                exempt = isinstance(module, NO_DECAY_MODULES) or name in NO_DECAY_NAMES
                in_backbone = module_name.split('.')[0] == 'backbone'
                key = (lr * self.backbone_lr_mult if in_backbone else lr, 0.0 if exempt else decay)
                groups.setdefault(key, []).append(parameter)
        optimizer['params'] = [dict(params=p, lr=key[0], weight_decay=key[1]) for key, p in groups.items()]
        cfg.setdefault('type', 'SegOptimWrapper')
        return OPTIM_WRAPPERS.build(cfg, default_args=dict(optimizer=OPTIMIZERS.build(optimizer)))
