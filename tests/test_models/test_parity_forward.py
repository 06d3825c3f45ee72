"""Same weights, same images: the same logits of all decoder outputs as mmdet and as transformers."""

import pytest
import torch

from mask2former.models import layers
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


PEERS = {'mmdet': (build_mmdet, mmdet_outputs), 'transformers': (build_transformers, transformers_outputs)}


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('peer', PEERS)
@torch.no_grad()
def test_logits_of_all_outputs(backbone, peer, monkeypatch):
    build, run = PEERS[peer]
    if peer == 'mmdet':
        # mmdet's positions are float32 in a float64 model, too.
        for module in (layers, msdeform_attn_pixel_decoder):
            monkeypatch.setattr(module, 'position_dtype', lambda dtype: torch.float32)
    ours = build_ours(backbone)
    theirs = build(ours, backbone)
    for dtype in (torch.float32, torch.float64):
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        for shape, batch_size in SHAPES:
            images, samples = make_batch([2] * batch_size, shape, dtype=dtype)
            output = ours.extract(images)
            classes, masks = run(theirs, images, samples)
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
        for whole, single in zip(together, model(images[b:b + 1])):
            torch.testing.assert_close(whole[b:b + 1], single, rtol=1e-9, atol=1e-9)
