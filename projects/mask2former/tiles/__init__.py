"""Results of large images, made of those of overlapping tiles; numpy alone, for whatever gives the tiles' results."""

from .grid import Tile, TileGrid, check_tiles
from .merger import Instance, SegmentMap, TileMerger

__all__ = ['Instance', 'SegmentMap', 'Tile', 'TileGrid', 'TileMerger', 'check_tiles']
