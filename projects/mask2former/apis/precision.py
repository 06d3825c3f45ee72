"""Mixed precision of a prediction: the network in fewer bits, and the results of its outputs in float32."""

from contextlib import AbstractContextManager, nullcontext

import torch
from mmengine.config import Config
from mmengine.device import get_device

from mask2former.errors import ConfigError

DTYPES = ('bfloat16', 'float16')


def precision(amp_dtype: str | None, device: str | torch.device) -> AbstractContextManager:
    """A context in which a network works in a type, 'bfloat16' or 'float16'; with None as it is.

    Raises:
        ConfigError: If there is no such type, or the device cannot.
    """
    kind = torch.device(device).type
    check_precision(amp_dtype, kind)
    return nullcontext() if amp_dtype is None else torch.autocast(kind, getattr(torch, amp_dtype))


def check_precision(amp_dtype: str | None, kind: str) -> None:
    """See that a kind of device can work in a type.

    Raises:
        ConfigError: If it cannot.
    """
    if amp_dtype is not None and amp_dtype not in DTYPES:
        raise ConfigError(f"amp_dtype must be one of {', '.join(DTYPES)}, or None, not '{amp_dtype}'.")
    if amp_dtype == 'float16' and kind == 'cpu':
        raise ConfigError('Processors predict in bfloat16, not in float16: give --amp-dtype bfloat16.')


def use_precision(cfg: Config, amp_dtype: str | None) -> None:
    """Change a config so that its test works in a type.

    Raises:
        ConfigError: If there is no such type, or the device cannot.
    """
    if amp_dtype is None:
        return
    device = get_device()
    check_precision(amp_dtype, device)
    cfg.test_cfg = dict(cfg.get('test_cfg') or {}, fp16=True)  # what mmengine's loop calls it, whatever the type
    torch.set_autocast_dtype(device, getattr(torch, amp_dtype))
