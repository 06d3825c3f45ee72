"""The random numbers of an image, which do not depend on which process, or which place in a batch, it has."""

import torch

# What they are for. A frame of a clip has two of its own, by a seed that is larger by two for each frame.
MATCHER_POINTS, LOSS_POINTS = 0, 1
MASK_ANNEALING = 2  # of models of images only


def generator_of(seed: int | None, purpose: int, device: torch.device) -> torch.Generator | None:
    """The generator of an image's random numbers for a purpose; None, torch's own, where it has no ``seed``."""
    return None if seed is None else torch.Generator(device).manual_seed(seed + purpose)
