"""mask2former: universal image segmentation for the OpenMMLab stack."""

import importlib
import os
from typing import Any

# OpenMP's threads wait by spinning, which is slow where anything else uses the cores. With a short spin a training step
# of the shapes config on 2 cores took 0.23 s as before, and beside a busy process 0.66 s instead of 1.9 s. On another
# processor it costs a quarter of such a step where nothing else runs (docs/performance.md). It must be set before torch
# is imported; GNU's OpenMP reads it, which torch has on Linux.
os.environ.setdefault('GOMP_SPINCOUNT', '1000')

from . import compat, postponed  # noqa: E402
from .lazy import lazy_exports  # noqa: E402
from .version import __version__  # noqa: E402, F401

compat.install()
postponed.postpone()

_shortcut = lazy_exports(__name__, load='shortcuts', predict='shortcuts', train='shortcuts')


def __getattr__(name: str) -> Any:
    """``from mask2former import train`` and the like, which import what they need only then."""
    return importlib.import_module('mask2former.registry') if name == 'registry' else _shortcut(name)
