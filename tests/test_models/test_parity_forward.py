"""Same weights, same images: the same logits of all decoder outputs as mmdet and as transformers."""

import pytest
import torch

from mask2former.models import layers
from mask2former.models.head import MaskedAttentionHead
from mask2former.models.pixel_decoder import msdeform_attn_pixel_decoder

from .peers import BACKBONES, build_mmdet, build_ours, build_transformers, make_batch

SHAPES = [((128, 128), 1), ((96, 160), 2), ((160, 96), 1)]


def mmdet_outputs(peer, images, samples):
    features = peer.extract_feat(images)
    return peer.panoptic_head(features, samples)


def transformers_outputs(peer, images, samples):
    output = peer.model(pixel_values=images, output_hidden_states=True)
    classes = [peer.class_predictor(x.transpose(0, 1)) for x in output.transformer_decoder_intermediate_states]
    return classes, output.masks_queries_logits


def record_masks(peer, monkeypatch):
    """The list of the attention masks (B*heads, Q, S) that the peer makes, True where a query may not look."""
    masks = []

    def recording(function):
        def call(*args):
            result = function(*args)
            masks.append(result[-1])
            return result

        return call

    if hasattr(peer, 'panoptic_head'):
        monkeypatch.setattr(peer.panoptic_head, '_forward_head', recording(peer.panoptic_head._forward_head))
    else:
        predictor = peer.model.transformer_module.decoder.mask_predictor
        monkeypatch.setattr(predictor, 'forward', recording(predictor.forward))
    return masks


def attend_where(masks, monkeypatch):
    """Let our head look where the peer's looked, after a check that its own masks are the same but for rounding."""
    layer = iter(masks)

    def attention_mask(mask_embed, level_features):
        B, Q, _ = mask_embed.shape
        logits = mask_embed @ level_features.transpose(1, 2)  # (B, Q, S)
        inside = ~next(layer).view(B, -1, Q, logits.shape[-1])[:, 0]
        doubtful = logits.abs() < 1e-4 * logits.abs().max()
        assert (((logits >= 0) == inside) | doubtful).all()
        assert doubtful.float().mean() < 1e-3
        inside |= ~inside.any(-1, keepdim=True)
        return inside[:, None]

    monkeypatch.setattr(MaskedAttentionHead, 'attention_mask', staticmethod(attention_mask))


PEERS = {'mmdet': (build_mmdet, mmdet_outputs), 'transformers': (build_transformers, transformers_outputs)}


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('peer', PEERS)
@torch.no_grad()
def test_logits_of_all_outputs(backbone, peer, monkeypatch):
    """In float32 a logit next to zero may fall on either side of it, and a query then looks elsewhere: there ours is
    given the peer's attention masks, in float64 it makes its own."""
    build, run = PEERS[peer]
    if peer == 'mmdet':
        # mmdet's positions are float32 in a float64 model, too.
        for module in (layers, msdeform_attn_pixel_decoder):
            monkeypatch.setattr(module, 'full_dtype', lambda dtype: torch.float32)
    ours = build_ours(backbone)
    theirs = build(ours, backbone)
    for dtype in (torch.float32, torch.float64):
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        for shape, batch_size in SHAPES:
            images, samples = make_batch([2] * batch_size, shape, dtype=dtype)
            with monkeypatch.context() as patch:
                attention_masks = record_masks(theirs, patch)
                classes, masks = run(theirs, images, samples)
                if dtype == torch.float32:
                    attend_where(attention_masks, patch)
                output = ours.extract(images)
            assert len(classes) == len(masks) == len(output.class_logits) == 10
            for d in range(10):
                for mine, other in ((output.class_logits[d], classes[d]), (output.mask_logits(d), masks[d])):
                    assert mine.dtype == other.dtype == dtype
                    error = (mine - other).abs().max()
                    limit = 1e-4 if dtype == torch.float32 else 1e-9 * other.abs().max()
                    assert error <= limit, f'{dtype} {shape} output {d}: {error:.2e} > {limit:.2e}'


@torch.no_grad()
def test_tensor_mode_is_the_last_output():
    model = build_ours('r50')
    images, _ = make_batch([1, 1], (96, 128))
    output = model.extract(images)
    class_logits, mask_logits = model(images, None, mode='tensor')
    assert class_logits.shape == (2, 100, 134) and mask_logits.shape == (2, 100, 24, 32)
    torch.testing.assert_close(class_logits, output.class_logits[-1])
    torch.testing.assert_close(mask_logits, output.mask_logits(9))


@torch.no_grad()
def test_batch_equals_single_images():
    model = build_ours('r50').double()
    images, _ = make_batch([1, 1], (96, 128), dtype=torch.float64)
    together = model(images)
    for b in range(2):
        for whole, single in zip(together, model(images[b : b + 1])):
            torch.testing.assert_close(whole[b : b + 1], single, rtol=1e-9, atol=1e-9)
