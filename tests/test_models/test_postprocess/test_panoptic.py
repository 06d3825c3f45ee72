"""What panoptic fusion is made of, and what it costs."""

from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import PanopticFusion
from mask2former.models.postprocess.panoptic import number_segments
from tests.test_models.smooth_masks import BUDGETS, K, Q, lazy, predict, predictions


def test_numbers_of_segments():
    labels = torch.tensor([0, 1, 1, 2, 0, 1, 3, 3, 2])
    valid = torch.tensor([1, 0, 1, 1, 1, 1, 0, 0, 1]).bool()
    numbers, is_first = number_segments(valid, labels, torch.tensor([t == 0 for t in labels]))
    assert numbers.tolist() == [1, 0, 2, 3, 4, 2, 0, 0, 3]
    assert is_first.tolist() == [True, False, True, True, True, False, False, False, False]


class Synchronisations(TorchDispatchMode):
    """Notes each operation that makes the host wait for a GPU: those that copy to it or whose result's size depends
    on values."""

    WAITING = (
        '_local_scalar_dense',
        'nonzero',
        'bincount',
        'unique',
        'masked_select',
        'is_nonzero',
        'equal',
        'repeat_interleave',
    )

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split('::')[1].split('.')[0]
        # A bool mask as an index is a nonzero in disguise.
        by_mask = name == 'index' and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name.lstrip('_').startswith(self.WAITING[1:]) or name in self.WAITING or by_mask:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def test_the_host_waits_for_the_fusion_twice_only():
    """Once to choose the queries, and once for the segments at the end; in between the number of strips is free."""
    class_logits, embed, features = predictions()
    fusion = PanopticFusion(0.9, 0.1)
    for budget in BUDGETS.values():
        with Synchronisations() as whole:
            sample = predict(fusion, class_logits, lazy(embed, features, 'padded', budget))
        assert sample.pred_panoptic_seg.segments_info
        assert whole.seen == ['nonzero', 'index']
    with Synchronisations() as inner:
        scores = torch.rand(4, dtype=torch.float64)
        fusion.assign_pixels(scores, torch.arange(4), lazy(embed, features, 'padded', 1))
        number_segments(scores > 0.5, torch.arange(4), scores > 0.2)
    assert inner.seen == []
    with Synchronisations() as probe:
        scores.tolist(), scores[scores > 0], scores.max().item(), bool(scores.any()), torch.arange(3).bincount()
    assert {'index', '_local_scalar_dense', 'bincount'} <= set(probe.seen)


def test_only_masks_that_can_survive_are_formed():
    """No more than the kept queries' masks, and never more at a time at the full size than the memory allows."""
    class_logits, embed, features = predictions()
    formed = []
    rows = LazyMasks.rows

    def spy(self, queries):
        formed.append(queries.tolist())
        for strip, logits in rows(self, queries):
            assert logits.numel() * logits.element_size() <= 2**16
            yield strip, logits

    with mock.patch.object(LazyMasks, 'rows', spy):
        predict(PanopticFusion(0.9, 0.1), class_logits, lazy(embed, features, 'padded', 2**16))
    scores, labels = class_logits.softmax(-1).max(-1)
    assert formed == [((labels != K) & (scores > 0.9)).nonzero().flatten().tolist()] and 1 < len(formed[0]) < Q
