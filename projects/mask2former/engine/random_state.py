"""The state of the random number generators, as plain values that a checkpoint may hold."""

import random

import numpy as np
import torch


def get_random_state() -> dict:
    """The state of Python's, numpy's and torch's generators in this process, and of the current GPU's."""
    state = dict(python=random.getstate(), numpy=np.random.get_state(), torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    """Set what :func:`get_random_state` gave; its tensors may have been moved to a GPU."""
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
