"""Masks formed in bands give what the plain way gives: all masks at full size, and loops over queries."""

from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from pycocotools import mask as mask_utils
from torch.utils._python_dispatch import TorchDispatchMode

from mask2former.formats.rle import as_rle, decode_mask
from mask2former.models.postprocess import InstanceTopK, LazyMasks, PanopticFusion, SemanticInference
from mask2former.models.postprocess.panoptic import number_segments
from mask2former.models.postprocess.run_lengths import RunLengthEncoder
from tests.tiny import build_tiny

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


def full_logits(embed, features, size):
    batch_shape, img_shape, ori_shape = SIZES[size]
    masks = F.interpolate(torch.einsum('qc,chw->qhw', embed, features)[None], size=batch_shape, mode='bilinear')
    return F.interpolate(masks[..., : img_shape[0], : img_shape[1]], size=ori_shape, mode='bilinear')[0]


def lazy(embed, features, size, budget=2**22):
    return LazyMasks(embed, features, *SIZES[size], max_bytes=budget)


def predict(postprocessor, class_logits, masks, isthing=ISTHING):
    sample = DetDataSample()
    postprocessor(class_logits, masks, isthing, sample)
    return sample


def naive_panoptic(class_logits, logits, isthing, score_thr, overlap_thr):
    scores, labels = class_logits.softmax(-1).max(-1)
    kept = [q for q in range(len(scores)) if labels[q] < len(isthing) and scores[q] > score_thr]
    id_map, infos, stuff = torch.zeros(logits.shape[1:], dtype=torch.int32), [], {}
    if not kept:
        return id_map, infos
    probability = logits[kept].sigmoid()
    owner = (scores[kept][:, None, None] * probability).argmax(0)
    for i, q in enumerate(kept):
        mask, owned, label = probability[i] >= 0.5, owner == i, int(labels[q])
        visible = mask & owned
        if not visible.any() or owned.sum() < overlap_thr * mask.sum():
            continue
        if label not in stuff:
            infos.append(dict(id=len(infos) + 1, label=label, isthing=isthing[label], score=float(scores[q])))
        id_map[visible] = stuff.get(label, len(infos))
        if not isthing[label]:
            stuff.setdefault(label, len(infos))
    return id_map, infos


def naive_instances(class_logits, logits, isthing, count):
    """(label, score, mask) of each, best class score first."""
    scores = class_logits.softmax(-1)[:, :-1]
    pairs = sorted(((float(scores[q, k]), q, k) for q in range(Q) for k in range(K)), reverse=True)[:count]
    found = []
    for score, q, label in pairs:
        if isthing[label]:
            mask = logits[q] > 0
            quality = logits[q][mask].sigmoid().mean().item() if mask.any() else 0.0
            found.append((label, score * quality, mask.numpy()))
    return found


@sizes
@budgets
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_logits_equal_interpolated_masks(size, budget, dtype):
    _, embed, features = predictions(dtype=dtype)
    index = torch.tensor([3, 11, 12, 0, 5, 13])
    expected = full_logits(embed, features, size)[index]  # (n, H, W)
    # In units of the terms' size: the terms of a mask may cancel.
    tolerance = 4 * torch.finfo(dtype).eps * torch.einsum('qc,chw->qhw', embed.abs(), features.abs()).max()
    masks = lazy(embed, features, size, budget)
    bands = [(rows, logits.clone()) for rows, logits in masks.rows(index)]
    assert [len(bands) == 1, len(bands) == expected.shape[1]] == [budget == 2**30, budget == 1] or budget == 2**16
    found = torch.cat([logits for _, logits in bands]).transpose(0, 1)
    assert [i for rows, _ in bands for i in range(rows.start, rows.stop)] == list(range(expected.shape[1]))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance.item())

    found = torch.full_like(expected, -1)
    for columns, places, logits in masks.columns(index):
        line = len(places) * expected.shape[1] * expected.element_size()
        assert logits.shape[0] == 1 or logits.shape[0] * line <= budget
        found[places, :, columns] = logits.permute(1, 2, 0)
    left_out = found == -1
    assert not (expected[left_out] > 0).any()
    assert left_out.any() or budget == 2**30 or expected[0].numel() < 100
    torch.testing.assert_close(found[~left_out], expected[~left_out], rtol=0, atol=tolerance.item())


@sizes
@budgets
@pytest.mark.parametrize('seed', range(3))
def test_panoptic(size, budget, seed):
    class_logits, embed, features = predictions(seed)
    fusion = PanopticFusion(score_thr=0.9, overlap_thr=0.1)
    found = predict(fusion, class_logits, lazy(embed, features, size, budget)).pred_panoptic_seg
    id_map, infos = naive_panoptic(class_logits, full_logits(embed, features, size), ISTHING, 0.9, 0.1)
    assert torch.equal(found.id_map, id_map[None]) and found.id_map.dtype == torch.int32
    assert found.segments_info == infos and len(infos) > 1
    assert all(
        type(info[key]) is kind
        for info in found.segments_info
        for key, kind in dict(id=int, label=int, isthing=bool, score=float).items()
    )


@pytest.mark.parametrize('isthing', [(False,) * K, (True,) * K])
@pytest.mark.parametrize('overlap_thr', [0.0, 0.1, 0.4])
def test_panoptic_of_one_class(isthing, overlap_thr):
    class_logits, embed, features = predictions()
    class_logits[:, 3] += 20
    found = predict(PanopticFusion(0, overlap_thr), class_logits, lazy(embed, features, 'padded'), isthing)
    id_map, infos = naive_panoptic(class_logits, full_logits(embed, features, 'padded'), isthing, 0, overlap_thr)
    assert len(infos) == 1 if not isthing[0] else len(infos) >= 1
    assert torch.equal(found.pred_panoptic_seg.id_map[0], id_map)
    assert found.pred_panoptic_seg.segments_info == infos


@budgets
def test_panoptic_ties_go_to_the_first_query(budget):
    """Saturated masks of equal scores tie."""
    class_logits, embed, features = predictions(dtype=torch.float32)
    class_logits[:], embed[:, 1:] = 0, 0
    class_logits[:, 0], embed[:, 0] = 60, 40
    found = predict(PanopticFusion(), class_logits, lazy(embed, features, 'padded', budget)).pred_panoptic_seg
    assert found.segments_info == [dict(id=1, label=0, isthing=True, score=1.0)] and (found.id_map == 1).all()


@sizes
@budgets
def test_instances(size, budget):
    class_logits, embed, features = predictions()
    found = predict(InstanceTopK(40), class_logits, lazy(embed, features, size, budget)).pred_instances
    expected = naive_instances(class_logits, full_logits(embed, features, size), ISTHING, 40)
    assert len(found) == len(expected) > 10
    assert found.labels.tolist() == [label for label, _, _ in expected]
    # The area is divided by after adding 1e-6 in float32, as the reference does.
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], rtol=2e-6, atol=0)
    for rle, box, (_, _, mask) in zip(found.masks, found.bboxes.tolist(), expected):
        assert rle == mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
    assert any(not mask.any() for _, _, mask in expected) and any(mask.all() for _, _, mask in expected)


def test_instances_of_one_query_share_nothing():
    class_logits, embed, features = predictions()
    masks = predict(InstanceTopK(40), class_logits, lazy(embed, features, 'padded')).pred_instances.masks
    assert len({id(mask) for mask in masks}) == len(masks) > len({mask['counts'] for mask in masks})


@sizes
@budgets
def test_semantic(size, budget):
    class_logits, embed, features = predictions()
    found = predict(SemanticInference(), class_logits, lazy(embed, features, size, budget)).pred_sem_seg.sem_seg
    probability = class_logits.softmax(-1)[:, :K]
    expected = torch.einsum('qk,qhw->khw', probability, full_logits(embed, features, size).sigmoid()).argmax(0)
    assert torch.equal(found, expected[None]) and len(expected.unique()) > 1


def test_no_query_is_kept():
    class_logits, embed, features = predictions()
    masks = lazy(embed, features, 'padded and enlarged')
    found = predict(PanopticFusion(score_thr=1.0), class_logits, masks).pred_panoptic_seg
    assert found.id_map.shape == (1, 311, 405) and not found.id_map.any() and found.segments_info == []
    assert found.id_map.dtype == torch.int32
    found = predict(InstanceTopK(score_thr=1.0), class_logits, masks).pred_instances
    assert found.masks == [] and found.bboxes.shape == (0, 4) and len(found) == 0


def test_float32_keeps_the_results_of_float64():
    """At a size where every pixel counts: no mask's sign flips, no owner changes but where two queries tie."""
    class_logits, embed, features = predictions()
    samples = []
    for dtype in (torch.float64, torch.float32):
        masks = lazy(embed.to(dtype), features.to(dtype), 'padded and enlarged')
        sample = predict(PanopticFusion(0.9, 0.1), class_logits.to(dtype), masks)
        InstanceTopK(40)(class_logits.to(dtype), masks, ISTHING, sample)
        samples.append(sample)
    exact, single = samples
    changed = exact.pred_panoptic_seg.id_map != single.pred_panoptic_seg.id_map
    assert changed.sum() <= 2
    for a, b in zip(exact.pred_instances.masks, single.pred_instances.masks, strict=True):
        assert (decode_mask(a) != decode_mask(b)).sum() <= 1
    torch.testing.assert_close(exact.pred_instances.scores.float(), single.pred_instances.scores, rtol=3e-6, atol=0)


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
    """Once to choose the queries, and once for the segments at the end; in between the number of bands is free."""
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


def random_masks(H=17, W=23):
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(20, H, W, generator=generator) > torch.linspace(0.5, 1, 20)[:, None, None]
    masks[3] = False
    masks[4] = True
    masks[5] = False
    masks[5, H - 1, W - 1] = True
    masks[6] = False
    masks[6, 0, 0] = True
    masks[7, :, 5:9] = True
    masks[8] = False
    masks[8, :3, 4:] = True
    masks[8, -2:, 3:-1] = True
    return masks


@pytest.mark.parametrize('height', [1, 7, 8, 17])
@pytest.mark.parametrize('step', [1, 4, 23])
def test_run_lengths_equal_pycocotools(height, step):
    masks = random_masks(height)
    columns_first = masks.permute(2, 0, 1)
    encoder = RunLengthEncoder(len(masks), height, 23)
    for start in range(0, 23, step):
        band = columns_first[start : start + step]
        places = band.any(0).any(1).nonzero().flatten()
        encoder.add(slice(start, min(start + step, 23)), places, band[:, places])
    rles, boxes = encoder.finish()
    assert rles == [mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks.numpy()]
    assert np.array_equal(np.stack([decode_mask(rle) for rle in rles]), masks.numpy())
    for box, mask in zip(boxes.tolist(), masks.numpy()):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
    assert boxes.dtype == torch.float32
    if height == 17:
        assert boxes[3:7].tolist() == [[0, 0, 0, 0], [0, 0, 23, 17], [22, 16, 23, 17], [0, 0, 1, 1]]


def test_no_masks_to_encode():
    rles, boxes = RunLengthEncoder(0, 5, 6).finish()
    assert rles == [] and boxes.shape == (0, 4)
    [rle], boxes = RunLengthEncoder(1, 5, 6).finish()
    assert rle == mask_utils.encode(np.zeros((5, 6), np.uint8, order='F')) and boxes.tolist() == [[0, 0, 0, 0]]


def test_masks_as_run_lengths():
    masks = random_masks()
    rles = [mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks.numpy()]
    assert as_rle(masks) == as_rle(masks.numpy()) == as_rle(rles) == rles
    assert as_rle(masks[:0]) == as_rle([]) == []
    for wrong in (masks[0], [[1, 2, 3]], None):
        with pytest.raises(ValueError, match='must be a list of COCO'):
            as_rle(wrong)


def test_only_masks_that_can_survive_are_formed():
    """No more than the kept queries' masks, and never more at a time at the full size than the memory allows."""
    class_logits, embed, features = predictions()
    formed = []
    rows = LazyMasks.rows

    def spy(self, index):
        formed.append(index.tolist())
        for band, logits in rows(self, index):
            assert logits.numel() * logits.element_size() <= 2**16
            yield band, logits

    with mock.patch.object(LazyMasks, 'rows', spy):
        predict(PanopticFusion(0.9, 0.1), class_logits, lazy(embed, features, 'padded', 2**16))
    scores, labels = class_logits.softmax(-1).max(-1)
    assert formed == [((labels != K) & (scores > 0.9)).nonzero().flatten().tolist()] and 1 < len(formed[0]) < Q


def test_masks_are_formed_in_full_precision_under_autocast():
    model = build_tiny().eval()
    output = model.extract(torch.rand(1, 3, 64, 96)).full_precision()
    model.extract = lambda inputs: output
    samples = []
    for enabled in (False, True):
        sample = DetDataSample(metainfo=dict(img_shape=(60, 90), ori_shape=(120, 180)))
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            samples += model(torch.zeros(1, 3, 64, 96), [sample], mode='predict')
    plain, mixed = samples
    assert torch.equal(plain.pred_instances.scores, mixed.pred_instances.scores)
    assert plain.pred_instances.masks == mixed.pred_instances.masks
    assert torch.equal(plain.pred_panoptic_seg.id_map, mixed.pred_panoptic_seg.id_map)
    assert torch.equal(plain.pred_sem_seg.sem_seg, mixed.pred_sem_seg.sem_seg)
