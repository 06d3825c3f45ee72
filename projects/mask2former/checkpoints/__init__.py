"""Checkpoints of other projects: read, written, found by name; see docs/checkpoints.md."""

from typing import TYPE_CHECKING

from mask2former.lazy import lazy_exports

if TYPE_CHECKING:
    from .backbones import load_backbone
    from .convert import read_checkpoint
    from .schemes import read_any
    from .write import write_checkpoint

__all__ = ['load_backbone', 'read_any', 'read_checkpoint', 'write_checkpoint']

__getattr__ = lazy_exports(
    __name__, load_backbone='backbones', read_any='schemes', read_checkpoint='convert', write_checkpoint='write'
)
