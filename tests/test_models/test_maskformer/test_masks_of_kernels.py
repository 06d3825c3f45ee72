"""In tests, a MaskFormer's queries are convolved with what the mask features are made of; the results are the same."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample

from benchmarks.synthetic import randomise
from mask2former.models.pixel_decoder import FPNPixelDecoder, TransformerFPNPixelDecoder
from mask2former.registry import MODELS

from .small import build_small, per_pixel_config, small_config


@pytest.mark.parametrize('kind', [FPNPixelDecoder, TransformerFPNPixelDecoder])
@pytest.mark.parametrize('count', [0, 1, 7])
def test_masks_are_products_with_the_mask_features(kind, count):
    torch.manual_seed(0)
    decoder = kind((8, 16, 32, 64), embed_dims=32, mask_dims=24, num_groups=8).double()
    randomise(decoder)
    features = [torch.randn(2, 8 * 2**i, 64 >> i, 48 >> i, dtype=torch.float64) for i in range(4)]
    embed = torch.randn(count, 24, dtype=torch.float64)
    mask_features, memory = decoder(features)
    x, same = decoder(features, project=False)
    assert all(torch.equal(a, b) for a, b in zip(memory, same))
    for b in range(2):
        expected = torch.einsum('qc,chw->qhw', embed, mask_features[b])
        torch.testing.assert_close(decoder.form_masks(embed, x[b]), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def results_of(model):
    """Results of two images, their masks, and how often the last convolution ran."""
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shapes = dict(batch_input_shape=(64, 96), img_shape=(60, 90), ori_shape=(75, 111))
    runs = []
    hook = model.pixel_decoder.mask_proj.register_forward_hook(lambda *_: runs.append(1))
    samples = [DetDataSample(metainfo=shapes) for _ in range(2)]
    masks = [view.masks for [view] in model.views(images, samples)]
    samples = model.predict(images, samples)
    hook.remove()
    logits = [x.low_resolution(torch.arange(len(x.mask_embed)), 0).logits for x in masks]
    return samples, torch.stack(logits), len(runs)


CONFIGS = dict(
    maskformer=lambda: small_config('resnet'),
    encoder=lambda: small_config('resnet', encoder=True),
    plus=lambda: per_pixel_config(plus=True),
)


@pytest.mark.parametrize(
    ('name', 'task'),
    [(name, task) for name in ('maskformer', 'encoder') for task in ('panoptic', 'instance', 'semantic')]
    + [('plus', 'semantic')],
)
def test_results_are_the_same(name, task, monkeypatch):
    config = CONFIGS[name]()
    parts = dict(config['postprocessors'], instance=dict(type='InstanceTopK'))
    config['postprocessors'] = {task: parts[task]}
    torch.manual_seed(0)
    model = MODELS.build(config)
    randomise(model)
    model = model.double().eval()
    folded, logits, runs = results_of(model)
    assert runs == 0
    monkeypatch.setattr(model, 'projects', lambda device: True)
    plain, expected, runs = results_of(model)
    assert runs == 2
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    for ours, other in zip(folded, plain):
        if task == 'instance':
            assert torch.equal(ours.pred_instances.labels, other.pred_instances.labels) and len(other.pred_instances)
            torch.testing.assert_close(ours.pred_instances.scores, other.pred_instances.scores)
            assert ours.pred_instances.masks == other.pred_instances.masks
        elif task == 'semantic':
            assert torch.equal(ours.pred_sem_seg.sem_seg, other.pred_sem_seg.sem_seg)
        else:
            assert torch.equal(ours.pred_panoptic_seg.id_map, other.pred_panoptic_seg.id_map)


def test_where_the_mask_features_are_computed_to_the_end():
    """Where the masks of all postprocessors may be more than the features' channels, on GPUs, in half precision, and
    where the head attends by them or knows their number."""
    model = build_small('resnet')
    cpu, queries = torch.device('cpu'), model.head.query_embed.num_embeddings
    model.postprocessors = model.postprocessors[:1]
    assert not model.projects(cpu) and model.projects(torch.device('cuda'))
    with torch.autocast('cpu', torch.bfloat16):
        assert model.projects(cpu)
    model.pixel_decoder.mask_dims = 2 * queries
    model.postprocessors = [SimpleNamespace()] * 2
    assert not model.projects(cpu)
    model.postprocessors = [SimpleNamespace()] * 3
    assert model.projects(cpu)
    assert MODELS.build(per_pixel_config(plus=False)).projects(cpu)
    model.head.masked_attention = True
    assert model.projects(cpu)
