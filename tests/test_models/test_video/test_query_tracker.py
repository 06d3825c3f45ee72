"""Clips that are cut and linked: queries are found again, whatever their order."""

import itertools

import pytest
import torch

from mask2former.errors import ConfigError, NonFiniteError
from mask2former.models.masks import LazyMasks
from mask2former.models.video import Clip, QueryTracker
from mask2former.models.video.query_tracker import match_queries

Q, K, C, SIZE = 7, 3, 6, (8, 12)


def test_clips_have_every_frame_once_and_the_overlap_again():
    for num_frames, overlap, length in itertools.product((1, 2, 5), (0, 1, 3), (0, 1, 2, 4, 5, 9, 11)):
        if overlap >= num_frames:
            continue
        clips = list(QueryTracker(num_frames, overlap).cut(range(length)))
        assert [frame for i, clip in enumerate(clips) for frame in clip[overlap if i else 0 :]] == list(range(length))
        assert all(len(clip) == num_frames for clip in clips[:-1])
        assert all(a[-overlap:] == b[:overlap] for a, b in itertools.pairwise(clips) if overlap)
    assert list(QueryTracker().cut(range(5))) == [list(range(5))]


def make_clip(order, T=2, seed=0):
    """A clip in which query ``i`` is object ``order[i]``: a noisy embedding and a mask of its own, class i mod K."""
    generator = torch.Generator().manual_seed(seed)
    objects = torch.randn(Q, C, generator=torch.Generator().manual_seed(99)).double()
    queries = objects + 0.1 * torch.randn(Q, C, generator=generator)
    logits = torch.randn(Q, K + 1, generator=generator).double()
    features = torch.rand(T, Q, *SIZE, generator=generator).double() - 0.5
    embed = torch.eye(Q).double()[order]
    sizes = dict(batch_shape=SIZE, img_shape=SIZE, ori_shape=SIZE)
    return Clip(logits[order], queries[order], [LazyMasks(embed, x, **sizes) for x in features])


def permutations(count):
    return [torch.randperm(Q, generator=torch.Generator().manual_seed(i)) for i in range(count)]


@pytest.mark.parametrize('overlap', [0, 1])
def test_permuted_queries_come_back_in_the_order_of_the_first_clip(overlap):
    orders = permutations(5)
    plain = [make_clip(torch.arange(Q), seed=i) for i in range(5)]
    if overlap:  # the last frame of each clip is the first of the next
        for one, other in itertools.pairwise(plain):
            other.masks[0] = one.masks[-1]
    clips = [clip.reorder(order) for clip, order in zip(plain, orders)]
    assert not torch.equal(clips[0].queries, clips[1].queries)
    linked = list(QueryTracker(2, overlap).link(clips))
    first = orders[0]
    total = torch.zeros(Q, K + 1).double()
    frames = 0
    for i, (clip, truth) in enumerate(zip(linked, plain)):
        assert torch.equal(clip.queries, truth.queries[first])
        new = 2 - (overlap if i else 0)
        frames += new
        total += new * truth.class_logits[first]
        torch.testing.assert_close(clip.class_logits, total / frames, rtol=1e-12, atol=1e-12)
        assert len(clip.masks) == new
        for mine, theirs in zip(clip.masks, truth.masks[2 - new :]):
            assert mine.mask_features is theirs.mask_features
            assert torch.equal(mine.mask_embed, theirs.mask_embed[first])


def test_masks_in_the_overlap_tell_queries_apart_whose_embeddings_are_equal():
    one = make_clip(torch.arange(Q))
    other = Clip(
        one.class_logits, torch.ones(Q, C).double(), one.masks[1:] + make_clip(torch.arange(Q), seed=1).masks[:1]
    )
    order = torch.randperm(Q, generator=torch.Generator().manual_seed(3))
    linked = list(QueryTracker(2, 1).link([one, other.reorder(order)]))
    assert torch.equal(linked[1].masks[0].mask_embed, one.masks[0].mask_embed)
    without = list(QueryTracker(2).link([one, other.reorder(order)]))
    assert not torch.equal(without[1].masks[0].mask_embed, one.masks[0].mask_embed)


def test_what_is_long_ago_fades():
    logits = torch.randn(6, Q, K + 1, generator=torch.Generator().manual_seed(0)).double()
    clips = [make_clip(torch.arange(Q), T=1)._replace(class_logits=x) for x in logits]
    found = [clip.class_logits for clip in QueryTracker(1, memory=3).link(clips)]
    torch.testing.assert_close(found[2], logits[:3].mean(0))
    torch.testing.assert_close(found[5], found[4] * 2 / 3 + logits[5] / 3)
    [latest] = [clip.class_logits for clip in QueryTracker(2, memory=1).link(clips)][-1:]
    assert torch.equal(latest, logits[-1])


def test_one_clip_is_what_the_model_says_bit_for_bit():
    clip = make_clip(permutations(1)[0])
    [linked] = QueryTracker(2, 1).link([clip])
    assert linked.class_logits is clip.class_logits and list(linked.masks) == list(clip.masks)


def test_queries_that_stand_for_classes_stay():
    clips = [make_clip(order)._replace(queries=None) for order in permutations(2)]
    assert [list(x.masks) for x in QueryTracker(2).link(clips)] == [list(x.masks) for x in clips]
    overlapping = [list(x.masks) for x in QueryTracker(2, overlap=1).link(clips)]
    assert overlapping == [list(clips[0].masks), list(clips[1].masks[1:])]


def test_clips_are_let_go():
    """Of a video of any length no more than one clip's features are there, beside the one that is being used."""
    import gc
    import weakref

    alive = weakref.WeakSet()
    most = 0

    def clips():
        nonlocal most
        for seed in range(6):
            clip = make_clip(torch.arange(Q), seed=seed)
            alive.update(masks.mask_features for masks in clip.masks)
            gc.collect()
            most = max(most, len(alive))
            yield clip
            del clip

    for clip in QueryTracker(2, 1).link(clips()):
        del clip
    assert most == 2


def test_bad_options_and_values():
    with pytest.raises(ConfigError, match='num_frames must be a whole number from 1 on, but is 0'):
        QueryTracker(0)
    with pytest.raises(ConfigError, match='cannot overlap by 2 frames'):
        QueryTracker(2, 2)
    with pytest.raises(NonFiniteError, match='NaN'):
        match_queries(torch.ones(2, 3), torch.full((2, 3), torch.nan))
