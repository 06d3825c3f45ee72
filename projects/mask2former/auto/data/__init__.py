"""From any folder of annotated images to a data set: the format is found, not told."""

from .found import Found, Prepared
from .prepare import prepare
from .recognise import recognise

__all__ = ['Found', 'Prepared', 'prepare', 'recognise']
