"""Which layer's output of a batch is the first that is not finite."""

from typing import Any

import torch
from torch import Tensor, nn

from .batch import tensors_in


class LayerWatch:
    """Notes the range of what goes into and comes out of each layer while a model trains, until :meth:`clear`.

    No value is read until :meth:`first_spoilt` is asked for, so that a device need not be waited for.

    Args:
        model: The model, not wrapped; only modules without children are watched.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._ranges: list[tuple[str, Tensor, Tensor]] = []
        self._handles = [
            module.register_forward_hook(self._look_at(name))
            for name, module in model.named_modules()
            if name and not any(module.children())
        ]

    def _look_at(self, name: str) -> Any:
        @torch.no_grad()
        def hook(module: nn.Module, args: tuple, output: Any) -> None:
            if not self._model.training:
                return
            for what, value in (('input', args), ('output', output)):
                for x in tensors_in(value):
                    if x.is_floating_point() and x.numel():
                        self._ranges.append((f"the {what} of '{name}'", *torch.aminmax(x.detach())))

        return hook

    def clear(self) -> None:
        """Forget what was seen."""
        self._ranges.clear()

    def remove(self) -> None:
        """Look no more."""
        for handle in self._handles:
            handle.remove()

    def first_spoilt(self) -> str | None:
        """The first layer whose output (or input, where a plain function made it) was NaN or infinite, if one was."""
        return next((name for name, low, high in self._ranges if not (low.isfinite() and high.isfinite())), None)


@torch.no_grad()
def first_spoilt_output(model: nn.Module, batch: Any, amp_dtype: str | None = None) -> str | None:
    """The module whose output (or input, where a plain function made it) of a batch is the first not to be finite.

    The running statistics of norms stay as they are.

    Args:
        model: In training mode.
        batch: As the data loader gives it.
        amp_dtype: 'bfloat16' or 'float16' in mixed precision.
    """
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    device = next(model.parameters()).device.type
    dtype = getattr(torch, amp_dtype) if amp_dtype else None
    preprocess: Any = model.data_preprocessor
    watch = LayerWatch(model)
    try:
        with torch.autocast(device, dtype, enabled=dtype is not None):
            model(**preprocess(batch, True), mode='tensor')
    except Exception:
        pass  # what explains a failure must not hide it
    finally:
        watch.remove()
        for name, value in model.named_buffers():
            value.copy_(buffers[name])
    return watch.first_spoilt()
