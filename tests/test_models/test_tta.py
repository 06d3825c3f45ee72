"""Test-time augmentation: one view changes nothing, views are put back in place, and their probabilities averaged."""

import copy
from functools import partial

import pytest
import torch
from mmdet.structures import DetDataSample

from mask2former.formats.rle import decode_mask
from mask2former.models import sliding_window
from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import InstanceTopK, View
from mask2former.models.postprocess.merge import match_views
from mask2former.models.tta import SegTTAModel
from tests.tiny import build_tiny

from .flip_equivariant import Q, build_flip_equivariant
from .random_masks import enlarged, factors, flipped, resized

SHAPE = (96, 128)
FLIPS = {None: (), 'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


def images_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randint(0, 256, (count, 3, *SHAPE), generator=generator, dtype=torch.uint8))


def batch_of(images, direction=None, ori_shape=SHAPE):
    """A view of images: inputs and data samples."""
    samples = [
        DetDataSample(
            metainfo=dict(
                img_id=i, img_shape=SHAPE, ori_shape=ori_shape, flip=direction is not None, flip_direction=direction
            )
        )
        for i in range(len(images))
    ]
    return dict(inputs=[image.flip(FLIPS[direction]) for image in images], data_samples=samples)


def together(*views):
    return {key: [view[key] for view in views] for key in ('inputs', 'data_samples')}


def assert_same(found, expected, exactly=True):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.img_id == theirs.img_id
        a, b = ours.pred_panoptic_seg, theirs.pred_panoptic_seg
        a_ids, b_ids = ([(info['id'], info['label'], info['isthing']) for info in x.segments_info] for x in (a, b))
        assert a_ids == b_ids and len(a_ids) > 2
        a_inst, b_inst = ours.pred_instances, theirs.pred_instances
        assert len(b_inst) > 5
        pairs = [(a.id_map, b.id_map), (ours.pred_sem_seg.sem_seg, theirs.pred_sem_seg.sem_seg)]
        if exactly:
            assert all(torch.equal(x, y) for x, y in pairs)
            assert torch.equal(a_inst.scores, b_inst.scores) and torch.equal(a_inst.labels, b_inst.labels)
            assert a_inst.masks == b_inst.masks
            continue
        # A pixel at a tie may go either way.
        assert all((x != y).float().mean() < 1e-3 for x, y in pairs)
        torch.testing.assert_close(a_inst.scores, b_inst.scores, rtol=0, atol=1e-3)
        assert torch.equal(a_inst.labels, b_inst.labels)
        for x, y in zip(a_inst.masks, b_inst.masks):
            assert (decode_mask(x) != decode_mask(y)).mean() < 1e-3


@pytest.mark.parametrize('build', [build_flip_equivariant, build_tiny])
def test_one_plain_view_is_the_plain_path(build):
    model = build().eval()
    expected = model.test_step(batch_of(images_of(2), ori_shape=(150, 177)))
    found = SegTTAModel(model).test_step(together(batch_of(images_of(2), ori_shape=(150, 177))))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.pred_panoptic_seg.id_map, theirs.pred_panoptic_seg.id_map)
        assert torch.equal(ours.pred_sem_seg.sem_seg, theirs.pred_sem_seg.sem_seg)
        assert torch.equal(ours.pred_instances.scores, theirs.pred_instances.scores)
    if build is build_flip_equivariant:
        assert_same(found, expected)


@pytest.mark.parametrize('directions', [('horizontal',), ('vertical',), ('horizontal', 'vertical', 'diagonal')])
@pytest.mark.parametrize('ori_shape', [SHAPE, (150, 177)])
@pytest.mark.parametrize('first', [None, 'horizontal'])
def test_flips_change_nothing_where_the_model_flips_along(directions, ori_shape, first):
    model = build_flip_equivariant()
    images = images_of(2)
    expected = model.test_step(batch_of(images, ori_shape=ori_shape))
    views = [batch_of(images, direction, ori_shape) for direction in (first, *directions)]
    # The same queries in another order: matching has to find them.
    model.calls = 0
    model.order = lambda call: torch.arange(Q).roll(0 if call == 0 else 5 * call)
    assert_same(SegTTAModel(model).test_step(together(*views)), expected, exactly=False)


def test_a_view_that_sees_something_else_has_no_say_in_masks():
    model = build_flip_equivariant(
        postprocessors=dict(panoptic=dict(type='PanopticFusion', score_thr=0.0), instance=dict(type='InstanceTopK'))
    )
    images = images_of(1)
    (expected,) = model.test_step(batch_of(images))
    (found,) = SegTTAModel(model, min_iou=0.99).test_step(together(batch_of(images), batch_of(images_of(1, seed=9))))
    assert torch.equal(found.pred_panoptic_seg.id_map, expected.pred_panoptic_seg.id_map)
    torch.testing.assert_close(found.pred_instances.scores, expected.pred_instances.scores, rtol=0, atol=1e-5)


def matched_views(dtype=torch.float64, budget=2**14):
    """Three views of one scene with the queries in different orders, some noise, and the plain means over them."""
    class_logits, embed, features = factors(dtype=dtype)
    ori_shape = (131, 173)
    views, masks, probabilities = [], 0, 0
    for seed, flips in enumerate([(False, False), (False, True), (True, True)]):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(embed), generator=generator)
        flipped_features = flipped(features, flips)
        noisy = class_logits + 0.3 * torch.randn(class_logits.shape, generator=generator, dtype=dtype)
        near = embed + 0.1 * torch.randn(embed.shape, generator=generator, dtype=dtype)
        views.append(
            View(noisy[order], LazyMasks(near[order], flipped_features, (96, 128), (96, 128), ori_shape, budget, flips))
        )
        if seed == 0:
            first = order
        logits = flipped(resized(enlarged(near, flipped_features), ori_shape), flips)
        masks, probabilities = masks + logits.sigmoid()[first] / 3, probabilities + noisy.softmax(-1)[first] / 3
    return views, masks, probabilities


@pytest.mark.parametrize('budget', [1, 2**14, 2**30])
def test_probabilities_of_matching_queries_are_averaged(budget):
    views, masks, probabilities = matched_views(budget=budget)
    class_logits, found = match_views(views, 0.5)
    torch.testing.assert_close(class_logits.softmax(-1), probabilities, rtol=0, atol=1e-12)
    index = torch.tensor([5, 0, 2])
    rows = torch.cat([logits for _, logits in found.rows(index)]).transpose(0, 1)
    torch.testing.assert_close(rows.sigmoid(), masks[index], rtol=0, atol=1e-12)
    columns = torch.zeros_like(rows)
    for strip, query_index, logits in found.columns(index):
        columns[query_index, :, strip] = logits.permute(1, 2, 0).sigmoid()
    inside = masks[index] > 0.5
    assert torch.equal(columns > 0.5, inside)
    torch.testing.assert_close(columns[inside], masks[index][inside], rtol=0, atol=1e-12)


def test_instances_of_several_views():
    views, masks, probabilities = matched_views()
    sample = DetDataSample()
    InstanceTopK(8)(*match_views(views, 0.5), (True,) * 4, sample)
    scores, pairs = probabilities[:, :-1].flatten().topk(8)
    inside = masks[pairs // 4] > 0.5
    quality = (masks[pairs // 4] * inside).sum((1, 2)) / inside.sum((1, 2))
    torch.testing.assert_close(sample.pred_instances.scores, scores * quality, rtol=0, atol=1e-7)
    assert torch.equal(sample.pred_instances.labels, pairs % 4)
    for mask, expected in zip(sample.pred_instances.masks, inside):
        assert (torch.from_numpy(decode_mask(mask)).bool() == expected).all()


def test_a_query_without_a_match_is_averaged_over_the_others():
    views, _, _ = matched_views()
    first, other = views[0], copy.deepcopy(views[0])
    other.masks.mask_embed[2] = -100 * other.masks.mask_embed[2]  # the rest of the image
    class_logits, masks = match_views([first, other], 0.5)
    assert masks.queries[1].tolist() == [0, 1, -1, 3, 4, 5]
    torch.testing.assert_close(class_logits.softmax(-1), first.class_logits.softmax(-1), rtol=0, atol=1e-12)
    for index in (torch.tensor([2]), torch.tensor([1, 2])):
        [expected], [found] = (torch.cat([x for _, x in m.rows(index)])[None] for m in (first.masks, masks))
        torch.testing.assert_close(found.sigmoid(), expected.sigmoid(), rtol=0, atol=1e-12)
        assert len(list(masks.columns(index))) > 0


def test_of_queries_with_one_mask_those_of_a_class_match():
    class_logits, embed, features = factors()
    embed[1] = embed[0]
    order = torch.tensor([1, 0, 2, 3, 4, 5])
    sizes = [(96, 128)] * 3
    views = [
        View(class_logits, LazyMasks(embed, features, *sizes)),
        View(class_logits[order], LazyMasks(embed[order], features, *sizes)),
    ]
    assert match_views(views, 0.5)[1].queries[1].tolist() == order.tolist()


def test_windows_of_several_views(monkeypatch):
    monkeypatch.setattr(sliding_window, 'LazyMasks', partial(LazyMasks, max_bytes=2**15))  # strips of a few rows
    options = dict(
        postprocessors=dict(semantic=dict(type='SemanticInference')),
        sliding_window=dict(crop_size=(64, 64), stride=(32, 64)),
    )
    model, images = build_flip_equivariant(**options), images_of(2)
    expected = model.test_step(batch_of(images))
    views = [batch_of(images, direction) for direction in (None, 'vertical', 'diagonal')]
    for ours, theirs in zip(SegTTAModel(model).test_step(together(*views)), expected, strict=True):
        assert (ours.pred_sem_seg.sem_seg != theirs.pred_sem_seg.sem_seg).float().mean() < 1e-3


def test_what_is_no_set_of_views_is_refused():
    model = build_flip_equivariant()
    with pytest.raises(ValueError, match='TestTimeAug'):
        SegTTAModel(model).test_step(batch_of(images_of(1)))
    with pytest.raises(ValueError, match='min_iou must lie above 0'):
        SegTTAModel(model, min_iou=0)
    with pytest.raises(ValueError, match='by a min_iou'):
        match_views(matched_views()[0], None)
