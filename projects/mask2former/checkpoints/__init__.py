"""Checkpoints of other projects: read, written, found by name; see docs/checkpoints.md."""

from . import backbones, class_transfer, package_scheme, schemes  # noqa: F401  (registers schemes and a hook)
from .backbones import load_backbone
from .formats import read_checkpoint
from .schemes import read_any
from .writing import write_checkpoint

__all__ = ['load_backbone', 'read_any', 'read_checkpoint', 'write_checkpoint']
