"""From the results of tiles to that of the image."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from mmdet.structures import DetDataSample
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .grid import Tile, TileGrid
from .match import match_parts
from .parts import Part, parts_of
from .segment import HALF, Segment

STRIP_PIXELS = 2**22  # of the map that is painted at a time
FIELDS = ('pred_panoptic_seg', 'pred_instances', 'pred_sem_seg')


class Instance(NamedTuple):
    """An object: its label, its score and its mask in the whole image, run-length encoded."""

    label: int
    score: float
    rle: dict


class TileMerger:
    """Collects the results of tiles and makes those of the image of them.

    Things that two tiles saw are one where their masks agree in the pixels that both saw (:func:`match_parts`), also
    over several tiles; stuff is one for each class. What is found by tiles which have less than half of the say in its
    place is left out: another tile sees that place better, and saw nothing there or something else. Memory grows with
    what is found, not with the image.

    Args:
        grid: The tiles.
        min_iou: Parts of things whose masks overlap less, in what both tiles saw, are different things.

    Attributes:
        fields (list[str]): The kinds of results that the tiles have; known after the first.
    """

    def __init__(self, grid: TileGrid, min_iou: float = 0.5) -> None:
        self.grid, self.min_iou = grid, min_iou
        self.fields: list[str] = []
        self._layers: dict[str, _Layer] = {}

    def add(self, tile: Tile, sample: DetDataSample, fields: Sequence[str] | None = None) -> None:
        """Take the result of a tile; tiles come in the order of the grid.

        Args:
            tile: The tile.
            sample: Its result, of the tile's size and on the CPU.
            fields: The kinds of results that are wanted; by default all.
        """
        self.fields = self.fields or list(fields or self.fields_of(sample))
        for field in self.fields:
            layer = self._layers.setdefault(field, _Layer(self.grid, self.min_iou))
            layer.add(tile, parts_of(sample, field, tile))

    @staticmethod
    def fields_of(sample: DetDataSample) -> list[str]:
        """The kinds of results that a data sample has."""
        return [field for field in FIELDS if field in sample]

    def instances(self) -> list[Instance]:
        """The objects of the image, the surest first."""
        segments = self._layers['pred_instances'].segments()
        return [Instance(segment.label, segment.score, segment.encode()) for segment in segments]

    def panoptic(self) -> 'SegmentMap':
        """The panoptic map of the image, not yet painted."""
        return SegmentMap(self.grid, self._layers['pred_panoptic_seg'].segments())

    def semantic(self) -> 'SegmentMap':
        """The same of the classes: a segment for each."""
        return SegmentMap(self.grid, self._layers['pred_sem_seg'].segments())


class _Layer:
    """The parts of one kind of results, and which of them are of one thing."""

    def __init__(self, grid: TileGrid, min_iou: float) -> None:
        self.grid, self.min_iou = grid, min_iou
        self.parts: list[Part] = []
        self.of_tile: dict[int, slice] = {}
        self.pairs: list[tuple[int, int]] = []

    def add(self, tile: Tile, parts: Sequence[Part]) -> None:
        start = len(self.parts)
        self.of_tile[tile.number] = slice(start, start + len(parts))
        self.parts += parts
        for other in self.grid.earlier_neighbours(tile):
            where = self.of_tile[other.number]
            matches = match_parts(parts, self.parts[where], self.min_iou)
            self.pairs += [(start + ours, where.start + theirs) for ours, theirs in matches]

    def segments(self) -> list[Segment]:
        """Things, the surest first, then stuff, by class."""
        n = len(self.parts)
        pairs = np.array(self.pairs, dtype=np.int64).reshape(-1, 2)
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
        groups: dict[tuple[int, int], list[Part]] = {}
        for part, thing in zip(self.parts, connected_components(graph, directed=False)[1].tolist() if n else ()):
            groups.setdefault((0, thing) if part.isthing else (1, part.label), []).append(part)
        segments = [Segment(self.grid, parts) for parts in groups.values()]
        kept = [segment for segment in segments if not segment.isthing or segment.support() >= HALF]
        return sorted(
            kept, key=lambda segment: (not segment.isthing, -segment.score if segment.isthing else segment.label)
        )


class SegmentMap:
    """A map of segments that is painted from the top.

    A pixel that several things claim goes to the one with the larger share of tiles that say so; one that no thing
    claims goes in the same way to stuff. What no tile gives to anything is 0.

    Args:
        grid: The tiles.
        segments: The segments, things first; a segment's id is its place, from 1 on.

    Attributes:
        areas: Pixels of each segment in the strips that were painted, ``(n,)`` int64; some may have none.
    """

    def __init__(self, grid: TileGrid, segments: Sequence[Segment]) -> None:
        self.grid, self.segments = grid, segments
        self.areas = np.zeros(len(segments), dtype=np.int64)

    def strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Which rows, and their ids ``(rows, W)`` int32."""
        H, W = self.grid.size
        self.areas[:] = 0
        bounds = np.array([(s.rows.start, s.rows.stop) for s in self.segments], dtype=np.int64).reshape(-1, 2)
        step = max(1, STRIP_PIXELS // W)
        for top in range(0, H, step):
            rows = slice(top, min(top + step, H))
            here = np.flatnonzero((bounds[:, 0] < rows.stop) & (bounds[:, 1] > rows.start))
            ids = self._paint(rows, here.tolist())
            self.areas += np.bincount(ids.ravel(), minlength=len(self.segments) + 1)[1:]
            yield rows, ids

    def segments_info(self) -> list[dict]:
        """``dict(id, label, isthing, score)`` of each segment that has pixels in the strips that were painted."""
        return [
            dict(id=number, label=segment.label, isthing=segment.isthing, score=segment.score)
            for number, (segment, area) in enumerate(zip(self.segments, self.areas), 1)
            if area
        ]

    def _paint(self, strip: slice, here: Sequence[int]) -> np.ndarray:
        ids = np.zeros((strip.stop - strip.start, self.grid.size[1]), dtype=np.int32)
        most = np.zeros(ids.shape, dtype=np.float32)
        for index in here:
            segment = self.segments[index]
            rows, columns = (
                slice(max(segment.rows.start, strip.start), min(segment.rows.stop, strip.stop)),
                segment.columns,
            )
            inside = slice(rows.start - strip.start, rows.stop - strip.start), columns
            votes = segment.votes(rows, columns).astype(np.float32)
            if not segment.isthing:
                # Things stand before: ids are theirs where they claimed the pixel.
                votes[self._is_thing(ids[inside])] = 0
            better = votes > most[inside] + 1e-6
            ids[inside][better] = index + 1
            most[inside][better] = votes[better]
        return ids

    def _is_thing(self, ids: np.ndarray) -> np.ndarray:
        things = np.array([False, *(segment.isthing for segment in self.segments)])
        return things[ids]
