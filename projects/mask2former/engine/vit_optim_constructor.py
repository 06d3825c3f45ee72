"""Parameter groups of EoMT: a learning rate that falls from the last block of the transformer to the first."""

import re

from mmengine.optim import OptimWrapper
from torch import nn

from mask2former.errors import ConfigError
from mask2former.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

from .optim_constructor import check_layer_decay
from .unwrap import unwrap_model


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class EncoderOnlyOptimWrapperConstructor:
    """Builds the optimizer wrapper of a model of :class:`PlainViT` and :class:`EncoderOnlyHead`.

    Their blocks are counted together. The learning rate of block i of N is ``layer_decay ** (N - 1 - i)`` times that of
    the optimizer, that of patches, positions and tokens as the first block's, that of the last norm and of all other
    weights the optimizer's own. Weight decay is the same for all, norms and biases too, as in tue-mps/eomt. Each group
    says whether it is ``in_vit``, which :class:`TwoStageWarmupPolyLR` asks for.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper, with ``optimizer``.
        paramwise_cfg: ``layer_decay`` (1 without it), and ``decay_head`` (True), whether the blocks with queries have a
            lower learning rate, too: with DINOv3, the reference leaves them the optimizer's.

    Raises:
        ConfigError: If ``paramwise_cfg`` has other settings, or if ``layer_decay`` is not in (0, 1].
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        self.layer_decay = paramwise_cfg.pop('layer_decay', 1.0)
        self.decay_head = paramwise_cfg.pop('decay_head', True)
        if paramwise_cfg:
            raise ConfigError(f'paramwise_cfg knows only layer_decay and decay_head, not {sorted(paramwise_cfg)}')
        check_layer_decay(self.layer_decay)
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build.

        Raises:
            ConfigError: If the head has no blocks.
        """
        model = unwrap_model(model)
        backbone_blocks, head_blocks = (
            len(getattr(getattr(model, part, None), 'blocks', ())) for part in ('backbone', 'head')
        )
        if not head_blocks:
            raise ConfigError(
                'EncoderOnlyOptimWrapperConstructor is for a PlainViT with an EncoderOnlyHead: '
                "set optim_wrapper.constructor to 'SegOptimWrapperConstructor'."
            )
        cfg = dict(self.optim_wrapper_cfg)
        optimizer = dict(cfg.pop('optimizer'))
        blocks = backbone_blocks + head_blocks
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            match = re.match(r'(backbone|head)\.blocks\.(\d+)\.', name)
            in_vit = match is not None or name.startswith(('backbone.', 'head.norm.'))
            layer = blocks - 1
            if match and (match[1] == 'backbone' or self.decay_head):
                layer = int(match[2]) + (backbone_blocks if match[1] == 'head' else 0)
            elif name.startswith('backbone.') and not match:
                layer = 0
            lr = optimizer['lr'] * self.layer_decay ** (blocks - 1 - layer)
            groups.setdefault((lr, in_vit), []).append(parameter)
        optimizer['params'] = [dict(params=p, lr=lr, in_vit=in_vit) for (lr, in_vit), p in groups.items()]
        cfg.setdefault('type', 'SegOptimWrapper')
        return OPTIM_WRAPPERS.build(cfg, default_args=dict(optimizer=OPTIMIZERS.build(optimizer)))
