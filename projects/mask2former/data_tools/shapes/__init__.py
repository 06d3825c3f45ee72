"""The `shapes` and `moving_shapes` data sets: small drawn scenes with exact annotations, made on the spot."""

from .generate import generate_shapes
from .moving import generate_moving_shapes

__all__ = ['generate_moving_shapes', 'generate_shapes']
