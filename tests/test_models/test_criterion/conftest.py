"""Fixed points to compare masks at."""

import pytest
import torch

from mask2former.models.criterion import point_sampling

from .random_outputs import P


@pytest.fixture
def points(monkeypatch):
    """The points (1, P, 2) of every image, a few of them outside the map."""
    points = 1.1 * torch.rand(1, P, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 0.05
    monkeypatch.setattr(point_sampling, 'random_points', lambda n, num_points, like, _: points.expand(n, -1, -1))
    return points
