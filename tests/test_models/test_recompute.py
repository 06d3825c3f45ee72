"""Activation checkpointing (``with_cp``) and the choice of the attention's backend, by config."""

import pytest
import torch

from mask2former.models import layers
from mask2former.models.pixel_decoder import encoder
from mask2former.registry import MODELS
from tests.tiny import random_images, sample_of, tiny_config

PARTS = ('backbone', 'pixel_decoder', 'head')


def build(**changes):
    cfg = tiny_config()
    cfg['backbone'] = dict(type='FrozenBNResNet', depth=18)
    for part, options in changes.items():
        cfg[part].update(options)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.double().train()


def loss_and_gradients(model):
    torch.manual_seed(1)  # the criterion draws points
    masks = torch.zeros(2, 64, 96, dtype=torch.bool)
    masks[0, :30], masks[1, 40:, 20:] = True, True
    losses = model.loss(random_images(2).double(), [sample_of(masks), sample_of(masks[:1], img_id=1)])
    loss = sum(losses.values())
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize('parts', [*[(part,) for part in PARTS], PARTS], ids=str)
def test_recomputed_gradients_are_the_same(parts):
    expected_loss, expected = loss_and_gradients(build())

    kept = []

    def count(tensor):
        kept.append(tensor.numel())
        return tensor

    def kept_by(model):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            model.extract(random_images(2).double())
        return sum(kept)

    model = build(**{part: dict(with_cp=True) for part in parts})
    loss, gradients = loss_and_gradients(model)
    assert loss == expected_loss and gradients.keys() == expected.keys()
    assert all(torch.equal(gradients[name], expected[name]) for name in expected)
    assert kept_by(model) < kept_by(build())


@pytest.mark.parametrize('part', ['pixel_decoder', 'head'])
def test_nothing_is_kept_without_gradients(part, monkeypatch):
    monkeypatch.setattr(layers, 'checkpoint', None)
    model = build(**{part: dict(with_cp=True)}).eval()
    with torch.no_grad():
        model.extract(random_images(1).double())


def test_backend_of_the_attention_by_config(monkeypatch):
    used = []

    def watch(*args):
        used.append(args[-1])
        return attention(*args)

    attention = encoder.ms_deform_attn
    monkeypatch.setattr(encoder, 'ms_deform_attn', watch)
    outputs = []
    for backend in ('auto', 'native', 'grid_sample'):
        with torch.no_grad():
            model = build(pixel_decoder=dict(attention_backend=backend, num_layers=2)).eval()
            used.clear()
            outputs.append(model.extract(random_images(2).double()).class_logits)
        assert used == [backend] * 2
    assert torch.equal(outputs[0], outputs[1])
    assert torch.allclose(outputs[0], outputs[2], rtol=1e-9, atol=1e-9)


def test_unknown_backend_of_the_attention():
    with pytest.raises(ValueError, match=r"attention_backend must be 'auto' or one of \['native', .*, not 'cuda'"):
        build(pixel_decoder=dict(attention_backend='cuda'))
