"""Sharded training: each process keeps a part of the weights, gradients and moments (PyTorch's ``fully_shard``)."""

import warnings
from collections import Counter
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models import Mask2Former, VideoMask2Former
from mask2former.models.backbones.input_conv import image_channels
from mask2former.models.backbones.layer_order import blocks_of
from mask2former.models.decoder_layer import DecoderLayer
from mask2former.models.pixel_decoder.encoder import MSDeformAttnEncoderLayer
from mask2former.models.pixel_decoder.transformer_fpn import EncoderLayer
from mask2former.models.vit_layers import ViTBlock
from mask2former.registry import MODEL_WRAPPERS

from .optim_wrapper import SegOptimWrapper

LAYERS = (DecoderLayer, EncoderLayer, MSDeformAttnEncoderLayer, ViTBlock)
ELEMENTWISE = (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)  # each number has a step of its own
INSTEAD = dict(
    activation_checkpointing='set with_cp=True of the backbone and the head instead',
    compile='leave out compile (and --compile)',
    efficient_conv_bn_eval='leave it out',
)


@MODEL_WRAPPERS.register_module()
class FSDP(nn.Module):
    """Wraps a model, as ``MMDistributedDataParallel`` does, that is sharded when a training begins.

    Set by ``model_wrapper_cfg = dict(type='FSDP')``. :class:`SegRunner` gives the model its first weights, then calls
    :meth:`shard`, then builds the optimizer. All that a training does with the model goes through its ``forward``,
    where the weights of each block are gathered while they are needed. Tests have the whole model in each process.

    Args:
        module: The model, the same in all processes.
        reshard_after_forward: Whether the weights of a block are given up after the forward pass, and gathered again in
            the backward pass; without it a process has all weights from one to the other, and there is less traffic.
    """

    module: Any

    def __init__(self, module: nn.Module, reshard_after_forward: bool = True) -> None:
        super().__init__()
        self.module = module
        self.reshard_after_forward = reshard_after_forward
        self.sharded = False

    def shard(self) -> None:
        """Keep this process's part of the weights: of each block and layer, then of the rest."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        device = next(self.module.parameters()).device
        mesh = init_device_mesh(device.type, (get_world_size(),))
        for unit in units_of(self.module):
            fully_shard(unit, mesh=mesh)
        fully_shard(self.module, mesh=mesh)
        if isinstance(self.module, VideoMask2Former):  # a validation may be the first thing that it does
            register_fsdp_forward_method(self.module, 'predict_clip')
        self._set_resharding(self.reshard_after_forward)
        # Nothing here works in place on what a block gives, and all gradients are compared with DDP's in the tests.
        warnings.filterwarnings('ignore', message='FSDP2-wrapped module .* returned a view tensor')
        self.sharded = True

    def gather(self) -> None:
        """Have all weights in each process, until :meth:`scatter`: a validation needs no communication then, and the
        processes may run the model on different numbers of windows or clips."""
        self._set_resharding(False)
        for part in self._parts():
            part.unshard()

    def scatter(self) -> None:
        """Have a part of the weights again."""
        for part in self._parts():
            part.reshard()
        self._set_resharding(self.reshard_after_forward)

    def _parts(self) -> list[Any]:
        """The modules whose weights are gathered together, the model first."""
        from torch.distributed.fsdp import FSDPModule

        return [part for part in self.module.modules() if isinstance(part, FSDPModule)]

    def _set_resharding(self, value: bool) -> None:
        root, *blocks = self._parts()
        root.set_reshard_after_forward(False, recurse=False)  # the backward pass begins with it
        for block in blocks:
            block.set_reshard_after_forward(value, recurse=False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model."""
        return self.module(*args, **kwargs)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """See :meth:`mmengine.model.BaseModel.train_step`."""
        return self.module.train_step(data, optim_wrapper)

    def val_step(self, data: dict) -> list:
        """See :meth:`mmengine.model.BaseModel.val_step`."""
        return self.module.val_step(data)

    def test_step(self, data: dict) -> list:
        """See :meth:`mmengine.model.BaseModel.test_step`."""
        return self.module.test_step(data)


def units_of(model: nn.Module) -> list[nn.Module]:
    """The modules of a :class:`Mask2Former` whose weights are gathered together, the inner ones first."""
    backbone: nn.Module = model.backbone  # type: ignore[assignment]
    blocks = blocks_of(backbone)
    others = [part for part in model.children() if part is not backbone]
    layers = [layer for part in others for layer in part.modules() if isinstance(layer, LAYERS)]
    return [*(blocks if all_called_once(backbone, blocks) else []), backbone, *layers]


@torch.no_grad()
def all_called_once(backbone: nn.Module, blocks: list[nn.Module]) -> bool:
    """Whether a backbone calls each of these modules once for its features, found by showing it a small image.

    Weights are gathered when a module is called. A backbone may take the weights out of its blocks instead.
    """
    calls: Counter = Counter()
    handles = [block.register_forward_pre_hook(lambda module, args: calls.update([module])) for block in blocks]
    training = backbone.training
    weight = next(backbone.parameters())
    try:
        backbone.eval()
        backbone(torch.zeros(1, image_channels(backbone), 128, 128, device=weight.device, dtype=weight.dtype))
    finally:
        backbone.train(training)
        for handle in handles:
            handle.remove()
    return all(calls[block] == 1 for block in blocks)


class GatherHook(Hook):
    """Has all weights in each process during a validation."""

    priority = 'VERY_HIGH'  # the best checkpoint is saved when the validation is over

    def before_val_epoch(self, runner: Runner) -> None:
        """Gather."""
        if isinstance(runner.model, FSDP) and runner.model.sharded:
            runner.model.gather()

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Scatter."""
        if isinstance(runner.model, FSDP) and runner.model.sharded:
            runner.model.scatter()


def check_offered(runner: Runner) -> None:
    """See that nothing in a run needs whole weights outside of the model's forward pass.

    Raises:
        ConfigError: If something does.
    """
    for key, mend in INSTEAD.items():
        if runner.cfg.get(key):
            raise ConfigError(f"model_wrapper_cfg=dict(type='FSDP') does not work with {key}: {mend}.")
    if any(isinstance(hook, EMAHook) for hook in runner.hooks):
        raise ConfigError(
            "model_wrapper_cfg=dict(type='FSDP') does not work with EMAHook, which keeps a whole copy of the model in "
            'each process: leave out one of them.'
        )
    module = runner.model.module
    if not isinstance(module, Mask2Former):
        raise ConfigError(
            f"model_wrapper_cfg=dict(type='FSDP') shards models of this package, not {type(module).__name__}: leave it "
            'out, or take a model of mask2former.'
        )


def check_optimizer(optim_wrapper: Any) -> None:
    """See that an optimizer can work on parts of the weights.

    Raises:
        ConfigError: If it is another than those that were tried.
    """
    if not isinstance(optim_wrapper, SegOptimWrapper) or type(optim_wrapper.optimizer) not in ELEMENTWISE:
        names = ', '.join(kind.__name__ for kind in ELEMENTWISE)
        raise ConfigError(
            f"model_wrapper_cfg=dict(type='FSDP') needs an optim_wrapper of type SegOptimWrapper with {names}: set "
            'optim_wrapper.type and optim_wrapper.optimizer.type.'
        )
