"""mask2former: universal image segmentation for the OpenMMLab stack."""

import os

# OpenMP's threads wait by spinning, which is slow where anything else uses the cores. With a short spin a training step
# of the shapes config on 2 cores took 0.23 s as before, and beside a busy process 0.66 s instead of 1.9 s. It must be
# set before torch is imported; GNU's OpenMP reads it, which torch has on Linux.
os.environ.setdefault('GOMP_SPINCOUNT', '1000')

from . import compat, postponed  # noqa: E402

compat.install()
postponed.postpone()

from . import registry  # noqa: E402, F401  (imports mmdet, which compat makes importable)
from .version import __version__  # noqa: E402, F401

_SHORTCUTS = ('load', 'predict', 'train')


def __getattr__(name: str) -> object:
    """``from mask2former import train`` and the like, which import what they need only then."""
    if name in _SHORTCUTS:
        from . import shortcuts

        return getattr(shortcuts, name)
    raise AttributeError(f"module 'mask2former' has no attribute '{name}'")
