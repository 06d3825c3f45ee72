"""How the parts of a thing become one: against loops over pixels, and in cases where tiles do not agree."""

import numpy as np
import pytest

from mask2former.errors import ConfigError
from mask2former.formats.rle import decode_mask, encode_mask
from mask2former.models import SegTileModel
from mask2former.tiles import TileGrid, TileMerger
from mask2former.tiles.match import match_parts
from mask2former.tiles.merger import SegmentMap
from mask2former.tiles.parts import Part
from mask2former.tiles.segment import Segment

from .oracle import Oracle, truth_of


def part(tile, mask, label=0, score=0.9, isthing=True):
    """A part that a tile saw, of a mask in the tile."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0], columns[0]
    rle = encode_mask(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    return Part(tile, label, isthing, score, int(top) + tile.rows.start, int(left) + tile.columns.start, rle)


def test_shares_of_the_tiles_sum_up_to_one():
    for size, tile, overlap in (((90, 70), 40, 13), ((41, 200), 40, 39), ((30, 30), 64, 8)):
        grid = TileGrid(size, tile, overlap)
        total = np.zeros(size)
        for t in grid.tiles:
            share = np.outer(grid.share(t, 0), grid.share(t, 1))
            assert share.shape == t.shape and (share > 0).all()
            total[t.rows, t.columns] += share
        np.testing.assert_allclose(total, 1, atol=1e-12)


def test_tiles_cover_the_image_and_overlap():
    grid = TileGrid((100, 37), 40, 10)
    assert grid.bounds == ([(0, 40), (30, 70), (60, 100)], [(0, 37)])
    assert [tile.number for tile in grid.tiles] == [0, 1, 2]
    grid = TileGrid((50, 101), 40, 30)
    for tile in grid.tiles:
        near = {
            other.number
            for other in grid.tiles[: tile.number]
            if max(other.rows.start, tile.rows.start) < min(other.rows.stop, tile.rows.stop)
            and max(other.columns.start, tile.columns.start) < min(other.columns.stop, tile.columns.stop)
        }
        assert {other.number for other in grid.earlier_neighbours(tile)} == near


def test_the_number_of_very_many_tiles_is_said_once(caplog):
    for _ in range(2):
        TileGrid((400, 300), 8, 1)
        TileGrid((400, 300), 64, 16)
    [record] = caplog.records
    assert '300 x 400 pixels has 2451 tiles of 8 with an overlap of 1' in record.getMessage()  # 43 x 57


def noisy_parts(grid, seed, isthing=True):
    rng = np.random.default_rng(seed)
    parts = []
    for tile in grid.tiles:
        mask = rng.random(tile.shape) < rng.random()
        if mask.any() and rng.random() < 0.8:
            parts.append(part(tile, mask, score=float(rng.random()), isthing=isthing))
    return parts


@pytest.mark.parametrize('isthing', [True, False])
@pytest.mark.parametrize('seed', range(4))
def test_a_pixel_goes_by_the_shares_of_the_tiles_that_saw_the_thing(monkeypatch, seed, isthing):
    monkeypatch.setattr('mask2former.tiles.segment.MAX_PIXELS', 130)  # several blocks
    grid = TileGrid((33, 41), 16, 7)
    parts = noisy_parts(grid, seed, isthing)
    segment = Segment(grid, parts)
    expected = np.zeros(grid.size, bool)
    shares = []
    weights = np.zeros(len(parts))
    for y in range(grid.size[0]):
        for x in range(grid.size[1]):
            inside = present = 0.0
            for i, p in enumerate(parts):
                rows, columns = p.tile.rows, p.tile.columns
                if not (rows.start <= y < rows.stop and columns.start <= x < columns.stop):
                    continue
                share = grid.share(p.tile, 0)[y - rows.start] * grid.share(p.tile, 1)[x - columns.start]
                present += share
                if p.place(slice(y, y + 1), slice(x, x + 1)).item():
                    inside += share
                    weights[i] += share
            expected[y, x] = inside > 0 and (not isthing or inside >= present / 2 - 1e-9)
            if inside > 0:
                shares.append(present)
    assert np.array_equal(decode_mask(segment.encode()), expected)
    assert segment.support() == pytest.approx(np.mean(shares))
    assert segment.score == pytest.approx(weights @ [p.score for p in parts] / weights.sum())


def test_the_map_is_painted_in_strips(monkeypatch):
    grid = TileGrid((40, 50), 20, 8)
    segments = [Segment(grid, noisy_parts(grid, seed)) for seed in range(3)]
    segments += [Segment(grid, noisy_parts(grid, seed, False)) for seed in (7, 8)]
    whole = SegmentMap(grid, segments)
    [(_, expected)] = whole.strips()
    votes = np.zeros((5, 40, 50))
    for i, segment in enumerate(segments):
        for p in segment.parts:
            votes[i][p.tile.rows, p.tile.columns] += p.place(p.tile.rows, p.tile.columns) * np.outer(
                grid.share(p.tile, 0), grid.share(p.tile, 1)
            )
        if i < 3:
            votes[i] *= decode_mask(segment.encode())
    things, stuff = votes[:3], votes[3:]
    plain = np.where(things.any(0), things.argmax(0) + 1, np.where(stuff.any(0), stuff.argmax(0) + 4, 0))
    sorted_votes = np.sort(things, 0)
    clear = (sorted_votes[-1] - sorted_votes[-2] > 1e-5) & (abs(stuff[0] - stuff[1]) > 1e-5)
    assert clear.mean() > 0.3 and np.array_equal(expected[clear], plain[clear])
    assert whole.areas.tolist() == [(expected == i).sum() for i in range(1, 6)]
    monkeypatch.setattr('mask2former.tiles.merger.STRIP_PIXELS', 150)
    strips = list(SegmentMap(grid, segments).strips())
    assert len(strips) > 10 and np.array_equal(np.concatenate([ids for _, ids in strips]), expected)


def merged(size, tile, overlap, *id_maps_of_tiles, score=0.9):
    """Things of the whole image of which each tile says something else."""
    grid = TileGrid(size, tile, overlap)
    merger = TileMerger(grid)
    for t, id_map in zip(grid.tiles, id_maps_of_tiles, strict=True):
        merger.add(t, truth_of(id_map, np.zeros(10, int), score))
    return [decode_mask(instance.rle) for instance in merger.instances()]


def test_what_a_neighbour_saw_whole_is_not_double():
    # Tiles are columns 0..40 and 30..70. An object at 34..50 is whole in the second; of what the first sees of it, it
    # makes something else, too little to be matched.
    left, right = np.zeros((20, 40), np.int32), np.zeros((20, 40), np.int32)
    right[5:15, 4:20] = 1
    left[12:20, 37:40] = 1
    [mask] = merged((20, 70), 40, 10, left, right)
    expected = np.zeros((20, 70), bool)
    expected[5:15, 34:50] = True
    assert np.array_equal(mask, expected)


def test_a_thing_that_only_the_further_tile_saw_is_left_out():
    left, right = np.zeros((20, 40), np.int32), np.zeros((20, 40), np.int32)
    left[5:15, 36:39] = 1  # columns 36..39, which the second tile sees better
    assert merged((20, 70), 40, 10, left, right) == []
    left[:], right[5:15, 6:9] = 0, 1
    assert len(merged((20, 70), 40, 10, left, right)) == 1


def test_masks_that_differ_are_joined_where_each_tile_sees_best():
    left, right = np.zeros((20, 40), np.int32), np.zeros((20, 40), np.int32)
    left[5:15, 20:40] = 1
    right[6:14, 0:20] = 1
    [mask] = merged((20, 70), 40, 10, left, right)
    expected = np.zeros((20, 70), bool)
    expected[5:15, 20:35] = expected[6:14, 35:50] = True
    assert np.array_equal(mask, expected)


def test_the_sure_query_of_one_tile_finds_that_of_the_other():
    grid = TileGrid((20, 70), 40, 10)
    masks = np.zeros((20, 70), bool)
    masks[5:15, 25:50] = True
    a, b = grid.tiles
    seen = [masks[t.rows, t.columns] for t in (a, b)]
    rough = seen[0].copy()
    rough[5] = False
    ours = [part(a, seen[0], score=0.05), part(a, rough, score=0.95)]
    theirs = [part(b, seen[1], score=0.9), part(b, seen[1], score=0.04)]
    assert sorted(match_parts(ours, theirs, 0.5)) == [(0, 1), (1, 0)]
    assert match_parts(ours, [part(b, seen[1], label=1)], 0.5) == []


def test_many_parts_are_matched():
    # pycocotools 2.0.11 fails at the areas of more than 255.
    grid = TileGrid((40, 600), 400, 200)
    a, b = grid.tiles
    ours, theirs = [], []
    for x in range(200, 400, 4):
        for y in range(0, 40, 5):
            mask = np.zeros((40, 600), bool)
            mask[y : y + 4, x : x + 3] = True
            ours.append(part(a, mask[a.rows, a.columns]))
            theirs.append(part(b, mask[b.rows, b.columns]))
    order = np.random.default_rng(0).permutation(len(ours)).tolist()
    matches = match_parts(ours, [theirs[i] for i in order], 0.5)
    assert sorted((i, order[j]) for i, j in matches) == [(i, i) for i in range(400)]


@pytest.mark.parametrize(
    ('tile', 'overlap', 'min_iou', 'message'),
    [
        (0, 1, 0.5, 'tile must be a whole number of pixels from 2 on, but is 0'),
        (1, 1, 0.5, 'tile must be a whole number of pixels from 2 on, but is 1'),
        ('64', 1, 0.5, "tile must be a whole number of pixels from 2 on, but is '64'"),
        (64, 0, 0.5, 'overlap must be a whole number of pixels from 1 on, but is 0'),
        (64, 64, 0.5, 'overlap must be less than tile, but is 64 and tile is 64'),
        (64, 8, 0.0, 'min_iou of tiles must lie above 0 and not above 1, but is 0.0'),
    ],
)
def test_bad_options_are_named(tile, overlap, min_iou, message):
    with pytest.raises(ConfigError, match=message):
        SegTileModel(Oracle([]), [], tile, overlap, min_iou)


def test_an_image_of_too_many_pixels_is_refused():
    with pytest.raises(ConfigError, match='100000 x 100000 pixels, but at most 4294967295'):
        TileGrid((100000, 100000), 1024, 256)
