"""Backbones of other libraries in the model: a step, a checkpoint, two processes."""

import pytest
import torch

from mask2former.checkpoints import read_any
from mask2former.registry import MODELS
from tests.forked import run_forked_ranks
from tests.tiny import random_images, sample_of, tiny_config

from . import two_processes
from .libraries import HF, HIERARCHICAL, TIMM, hf_config, import_timm
from .test_hf import published


def build(backbone: dict, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = MODELS.build(dict(tiny_config(), backbone=backbone))
    model.init_weights()
    return model


def backbone_of(kind: str) -> dict:
    if kind in HF:
        return hf_config(kind)
    import_timm()
    return dict(type='TimmBackbone', name=kind, pretrained=False, options=TIMM[kind], norm_eval=True)


@pytest.mark.parametrize('kind', [*HIERARCHICAL, *(name for name in TIMM if 'vit' not in name)])
def test_a_step_and_a_checkpoint(kind, tmp_path):
    model = build(backbone_of(kind)).train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([x for x in model.parameters() if x.requires_grad], lr=0.1)
    masks = torch.zeros(2, 64, 96, dtype=torch.bool)
    masks[0, :32], masks[1, 32:] = True, True
    losses = model.loss(random_images(2), [sample_of(masks, img_id=i) for i in range(2)])
    sum(losses.values()).backward()
    trained = [(name, x) for name, x in model.named_parameters() if x.requires_grad and name.startswith('backbone')]
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for _, x in trained)
    optimizer.step()
    assert any(not torch.equal(before[name], x) for name, x in trained)

    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'model.pth')
    other = build(backbone_of(kind), seed=1)
    other.load_state_dict(read_any(tmp_path / 'model.pth')['state_dict'])
    for a, b in zip(model.eval()(random_images(1)), other.eval()(random_images(1)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_two_processes_load_the_weights_and_do_what_one_does(tmp_path):
    weights, out = str(published('dinov2', tmp_path / 'weights')), str(tmp_path / 'gradients.pth')
    for process in run_forked_ranks(2, two_processes.__file__, weights, out):
        assert process.returncode == 0, process.stderr[-3000:]
    backbone = two_processes.build(weights, 2)
    expected = two_processes.step(backbone, backbone, two_processes.images())
    gradients = torch.load(out)
    assert gradients.keys() == expected.keys()
    assert not any('patch_embeddings' in name or 'mask_token' in name for name in gradients)
    for name, value in expected.items():
        torch.testing.assert_close(gradients[name], value, rtol=1e-9, atol=1e-12)
