"""mask2former: universal image segmentation for the OpenMMLab stack."""

from . import compat  # noqa: F401  (first: it makes mmdet importable)
from . import registry  # noqa: F401

from .version import __version__  # noqa: F401
