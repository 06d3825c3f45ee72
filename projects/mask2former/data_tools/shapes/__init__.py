"""The `shapes` data set: small drawn scenes with exact panoptic and instance annotations, made on the spot."""

from .generate import generate_shapes

__all__ = ['generate_shapes']
