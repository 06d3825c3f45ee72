"""Checkpoints of other projects: read, written, found by name; see docs/checkpoints.md."""

from .backbones import load_backbone
from .convert import read_checkpoint
from .schemes import read_any
from .write import write_checkpoint

__all__ = ['load_backbone', 'read_any', 'read_checkpoint', 'write_checkpoint']
