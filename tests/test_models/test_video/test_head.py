"""The head of clips: mmdet's logits, and the image's where a clip is one."""

import pytest
import torch

from mask2former.models import MaskedAttentionHead
from mask2former.models.layers import Attention, MemoryPart
from mask2former.models.video import ClipHead

from .small import as_video, build_mmdet

SIZES = dict(num_classes=4, embed_dims=32, mask_dims=32, num_queries=6, num_layers=3, num_levels=2, num_heads=4)
SHAPES = ((3, 4), (6, 8))


def make_heads(time_position):
    torch.manual_seed(0)
    image = MaskedAttentionHead(ffn_dims=24, **SIZES).double()
    clip = ClipHead(time_position=time_position, ffn_dims=24, **SIZES).double()
    clip.load_state_dict(image.state_dict(), strict=True)
    return image, clip


def make_maps(B, T, seed=0):
    """Mask features and a memory of frames."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((12, 16), *SHAPES)
    maps = [torch.randn(B, T, 32, *size, generator=generator, dtype=torch.float64) for size in sizes]
    return maps[0], maps[1:]


@pytest.fixture(scope='module')
def peers():
    return build_mmdet()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('B, T', [(1, 1), (2, 2), (1, 5)])
def test_logits_of_all_outputs_are_those_of_mmdet(peers, B, T):
    image, peer = peers
    inputs = torch.randn(B, T, 3, 64, 96, generator=torch.Generator().manual_seed(T))
    peer.track_head.training, peer.track_head.num_frames = True, T  # else it takes the batch for one video
    with torch.no_grad():
        ours = as_video(image)(inputs)
        class_logits, mask_logits = peer.track_head(peer.backbone(inputs.flatten(0, 1)), None)
    assert len(class_logits) == len(ours.class_logits) == 10
    for d in range(10):
        assert (ours.class_logits[d] - class_logits[d]).abs().max() < 1e-4 * class_logits[d].abs().max()
        mine = ours.mask_logits(d)
        assert mine.shape == (B, 100, T, 16, 24)
        assert (mine - mask_logits[d]).abs().max() < 1e-4 * mask_logits[d].abs().max()


def test_a_clip_of_one_frame_is_the_image_without_the_time_and_is_not_with_it():
    features, memory = make_maps(2, 1)
    for time_position in (False, True):
        image, clip = make_heads(time_position)
        one = clip(features, memory)
        other = image(features[:, 0], [x[:, 0] for x in memory])
        assert torch.equal(one.class_logits, other.class_logits) != time_position
        assert torch.equal(one.mask_logits()[:, :, 0], other.mask_logits()) != time_position


def test_frames_in_another_order_give_the_masks_in_that_order_without_the_time_only():
    features, memory = make_maps(1, 4)
    order = torch.tensor([2, 0, 3, 1])
    for time_position in (False, True):
        clip = make_heads(time_position)[1]
        masks = clip(features, memory).mask_logits()[:, :, order]
        permuted = clip(features[:, order], [x[:, order] for x in memory]).mask_logits()
        assert torch.allclose(masks, permuted, rtol=0, atol=1e-9) != time_position


@pytest.mark.parametrize('masked', [True, False])
@pytest.mark.parametrize('frames_at_once', [1, 2, 4])
def test_looking_at_few_frames_at_a_time_is_the_same(frames_at_once, masked):
    features, memory = make_maps(2, 5)
    torch.manual_seed(0)
    clip = ClipHead(ffn_dims=24, masked_attention=masked, **SIZES).double().eval()
    with torch.no_grad():
        once, in_parts = clip(features, memory), clip(features, memory, frames_at_once)
    for one, other in zip(once, in_parts):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_queries_that_see_nothing_in_the_first_frames():
    attention = Attention(8, 2).double()
    query, tokens = torch.randn(1, 3, 8).double(), torch.randn(1, 6, 8).double()
    positions, mask = torch.randn(6, 8).double(), torch.rand(1, 1, 3, 6) < 0.5
    mask[..., :2], mask[..., 5] = False, True
    parts = [MemoryPart(tokens[:, s], positions[s], mask[..., s]) for s in (slice(0, 2), slice(2, 3), slice(3, 6))]
    once = attention(query, tokens + positions, tokens, mask)
    torch.testing.assert_close(attention.over_parts(query, parts), once, rtol=0, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_many_tokens_in_half_precision(dtype):
    """Weights of 90000 tokens that are alike: their sum is beyond float16, and where bfloat16 stops counting."""
    torch.manual_seed(0)
    attention = Attention(16, 2)
    query, part = 0.01 * torch.randn(1, 3, 16), torch.randn(1, 3000, 16) + 3
    parts = [MemoryPart(part, torch.zeros(3000, 16), None)] * 30
    once = attention(query, part, part)  # the mean over 30 equal parts is that over one
    with torch.no_grad(), torch.autocast('cpu', dtype):
        found = attention.over_parts(query, parts)
    torch.testing.assert_close(found.float(), once, rtol=0, atol=0.02)


def test_queries_look_inside_their_masks_in_each_frame_and_everywhere_if_all_are_empty():
    embed = torch.tensor([[[1.0], [-1.0]]])  # (B, Q, C): the second mask is empty
    features = torch.tensor([[[1.0], [-2.0], [-1.0], [-1.0]]])  # of two frames of two pixels
    mask = ClipHead.attention_mask(embed, features.clamp(max=1))
    assert mask[0, 0].tolist() == [[True, False, False, False], [False, True, True, True]]
    nothing = ClipHead.attention_mask(torch.tensor([[[-1.0]]]), torch.ones(1, 4, 1))
    assert nothing.all()
