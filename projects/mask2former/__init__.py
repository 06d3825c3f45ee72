"""mask2former: universal image segmentation for the OpenMMLab stack."""

from . import compat, registry  # noqa: F401  (compat makes mmdet importable, registry imports it)
from .version import __version__  # noqa: F401
