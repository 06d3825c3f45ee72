"""Scenes of queries that are sure of discs, their predictions, and results to compare with those of peers."""

from typing import NamedTuple

import pytest
import torch

from mask2former.formats.rle import as_rle

ISTHING = (True, True, True, False, False)  # mmdet wants the things first
K = len(ISTHING)
SKY, GRASS, NOTHING = 3, 4, K
h, w = 24, 32


class Query(NamedTuple):
    """A query that is sure of a disc: its centre and radius on the map (h, w), and the class score."""

    label: int
    x: float
    y: float
    radius: float
    score: float = 0.95


# Queries of each scene, and how many segments it must have.
SCENES = {
    'things, stuff and no-object': (
        [
            Query(0, 8, 8, 5, 0.99),
            Query(1, 22, 9, 6, 0.97),
            Query(SKY, 16, -2, 9, 0.9),
            Query(NOTHING, 16, 18, 6),
            Query(GRASS, 16, 26, 10, 0.93),
            Query(0, 27, 20, 4, 0.5),
        ],
        4,
    ),
    'one stuff class three times': (
        [Query(2, 16, 12, 4), Query(SKY, 5, 5, 5, 0.9), Query(SKY, 26, 5, 5), Query(SKY, 16, 22, 4, 0.85)],
        2,
    ),
    'overlaps': (
        [Query(0, 12, 12, 8, 0.99), Query(0, 13, 12, 8, 0.9), Query(1, 15, 13, 7.5, 0.95), Query(SKY, 24, 12, 6)],
        2,
    ),
    'two of a stuff class, one hidden': ([Query(SKY, 9, 9, 6, 0.99), Query(SKY, 9, 9, 5, 0.9), Query(0, 23, 9, 6)], 2),
    'things only': (
        [Query(i % 3, 6 + 9 * (i % 3), 7 + 10 * (i // 3), 4 + 0.3 * i, 0.9 + 0.01 * i) for i in range(6)],
        6,
    ),
    'a mask without a pixel': ([Query(0, 10, 12, 6), Query(1, 25, 12, -1, 0.99)], 1),
    'an owner outside its own mask': ([Query(SKY, 16, 12, 5)], 1),
    # The second owns what lies far to the right of both, but no pixel of its own mask.
    'an owner outside its own mask only': ([Query(1, 8.8, 12, 5, 0.99), Query(0, 11, 12, 3, 0.85)], 1),
    'one query': ([Query(1, 10, 10, 7)], 1),
    'no-object only': ([Query(NOTHING, 10, 10, 7), Query(NOTHING, 20, 10, 7)], 0),
    'weak queries only': ([Query(0, 10, 10, 7, 0.6), Query(SKY, 20, 10, 7, 0.7)], 0),
}
# batch_shape, img_shape, ori_shape
SIZES = {
    'as the batch': ((96, 128), (96, 128), (96, 128)),
    'padded': ((96, 128), (90, 117), (90, 117)),
    'padded and enlarged': ((96, 128), (87, 121), (131, 173)),
    'padded and reduced': ((96, 128), (95, 103), (57, 63)),
}
scenes = pytest.mark.parametrize('name', SCENES)
sizes = pytest.mark.parametrize('size', SIZES)


def predictions(queries, dtype=torch.float64):
    """Class logits (Q, K + 1), mask embeddings (Q, C) and mask features (C, h, w) of a scene."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.tensor([q.score for q in queries], dtype=dtype)
    labels = torch.tensor([q.label for q in queries])
    # The rest of the probability goes to the other classes, unevenly, so that no two pairs of a score tie.
    rest = torch.rand(len(queries), K + 1, generator=generator, dtype=dtype) + 0.5
    rest[torch.arange(len(queries)), labels] = 0
    probability = rest / rest.sum(1, keepdim=True) * (1 - scores)[:, None]
    probability[torch.arange(len(queries)), labels] = scores

    y, x = torch.meshgrid(torch.arange(h, dtype=dtype), torch.arange(w, dtype=dtype), indexing='ij')
    logits = torch.stack([q.radius - torch.hypot(x - q.x, y - q.y) for q in queries])  # (Q, h, w)
    embed = torch.randn(len(queries), len(queries), generator=generator, dtype=dtype)
    return probability.log(), embed, torch.linalg.solve(embed, logits.flatten(1)).view_as(logits)


def by_score(instances):
    return instances[instances.scores.argsort(descending=True)]


def assert_same_instances(ours, theirs):
    assert len(ours) == len(theirs)
    ours, theirs = by_score(ours), by_score(theirs)
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-12, atol=0)
    for key in ('labels', 'bboxes'):
        assert torch.equal(ours[key], theirs[key]), key
    assert ours.masks == as_rle(theirs.masks)
