"""Smooth masks of 14 queries, some of them sure of a class, at several sizes."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import plain

ISTHING = (True, False, True, False, False, True, True)
K, Q, C = len(ISTHING), 14, 9
h, w = 26, 34
# batch_shape, img_shape, ori_shape
SIZES = {
    'as the batch': ((104, 136), (104, 136), (104, 136)),
    'padded': ((104, 136), (97, 136), (97, 136)),
    'padded and enlarged': ((104, 136), (93, 121), (311, 405)),
    'padded and reduced': ((104, 136), (104, 117), (41, 46)),
    'far reduced': ((104, 136), (103, 135), (7, 5)),
    'enlarged in height alone': ((104, 136), (104, 120), (222, 120)),
}
BUDGETS = {'line by line': 1, 'some bands': 2**16, 'one band': 2**30}
sizes = pytest.mark.parametrize('size', SIZES)
budgets = pytest.mark.parametrize('budget', BUDGETS.values(), ids=BUDGETS)


def predictions(seed=0, dtype=torch.float64):
    """Class logits (Q, K + 1), some of them sure, and factors of smooth masks, some of them empty, one full."""
    generator = torch.Generator().manual_seed(seed)
    class_logits = torch.randn(Q, K + 1, generator=generator, dtype=dtype)
    sure = torch.randint(K + 1, (Q,), generator=generator)
    sure[:2], sure[5] = 2, 0  # things
    class_logits[torch.arange(Q), sure] += torch.tensor([6, 6, 6, 6, 6, 6, 2], dtype=dtype).repeat(2)
    coarse = torch.randn(C, 1, 7, 8, generator=generator, dtype=dtype)
    features = F.interpolate(coarse, size=(h, w), mode='bicubic')[:, 0]
    features[0] = 1
    embed = torch.randn(Q, C, generator=generator, dtype=dtype) * 2
    embed[:, 0] = torch.linspace(-16, 5, Q, dtype=dtype)
    embed[5] = torch.eye(C, dtype=dtype)[0] * 3
    return class_logits, embed, features


def full_size_logits(embed, features, size):
    return plain.full_size_logits(embed, features, *SIZES[size])


def lazy(embed, features, size, budget=2**22):
    return LazyMasks(embed, features, *SIZES[size], max_bytes=budget)


def predict(postprocessor, class_logits, masks, isthing=ISTHING):
    sample = DetDataSample()
    postprocessor(class_logits, masks, isthing, sample)
    return sample
