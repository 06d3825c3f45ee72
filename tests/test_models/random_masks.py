"""Random masks of one size, and the plain full-size arithmetic that shows where they should be."""

import itertools

import pytest
import torch
import torch.nn.functional as F

K, Q, C, h, w = 4, 6, 5, 24, 32
# img_shape, ori_shape; the padded input is 96 x 128
SIZES = {
    'original': ((96, 128), (96, 128)),
    'padded': ((90, 117), (90, 117)),
    'enlarged': ((87, 121), (131, 173)),
    'reduced': ((95, 103), (57, 63)),
}
# img_shape and flips of the views of one image
VIEWS = [((87, 121), (False, False)), ((60, 80), (False, True)), ((90, 117), (True, True)), ((20, 30), (True, False))]
sizes = pytest.mark.parametrize('size', SIZES.values(), ids=SIZES)
flips = pytest.mark.parametrize('flips', list(itertools.product((False, True), repeat=2)))
budgets = pytest.mark.parametrize('budget', [1, 2**14, 2**30])


def factors(seed=0, dtype=torch.float64):
    """Class logits (Q, K + 1), mask embeddings (Q, C) and mask features (C, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype) * 2 for shape in [(Q, K + 1), (Q, C), (C, h, w)]]


def enlarged(embed, features):
    """Mask logits (Q, 96, 128)."""
    low = torch.einsum('qc,chw->qhw', embed, features)[None]
    return F.interpolate(low, size=(96, 128), mode='bilinear')[0]


def resized(logits, size):
    return logits if logits.shape[1:] == size else F.interpolate(logits[None], size=size, mode='bilinear')[0]


def flipped(values, flips):
    return values.flip([axis for axis, flip in ((-2, flips[0]), (-1, flips[1])) if flip])
