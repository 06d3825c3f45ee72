"""mask2former: universal image segmentation for the OpenMMLab stack."""

import os

# OpenMP's threads wait by spinning, for so long that training is ten times slower where anything else uses the cores; a
# short spin costs next to nothing. To be set before torch is imported; read by GNU's OpenMP, which torch has on Linux.
os.environ.setdefault('GOMP_SPINCOUNT', '20000')

from . import compat, registry  # noqa: E402, F401  (compat makes mmdet importable, registry imports it)
from .version import __version__  # noqa: E402, F401
