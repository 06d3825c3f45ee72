"""Attention weights that are computed once more beside the model."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import nn

from mask2former.analysis.attention import covered_shares, mass_inside, record_attention
from mask2former.analysis.attention_mass import Looked, measure_mass, truth_at_input
from mask2former.analysis.layer_attention import attention_weights
from mask2former.analysis.query_strip import draw_strip
from mask2former.analysis.query_view import spread, view_query
from mask2former.errors import ConfigError
from mask2former.models import MaskedAttentionHead
from mask2former.models.head import HeadOutput
from mask2former.models.layers import Attention

SIZES = [(2, 3), (4, 6), (8, 12)]


def make_head(**options) -> MaskedAttentionHead:
    torch.manual_seed(0)
    options = dict(num_queries=7, num_layers=4, num_heads=4, ffn_dims=16) | options
    return MaskedAttentionHead(3, 32, 32, **options).double().eval()


def run_head(head: MaskedAttentionHead) -> tuple[HeadOutput, list]:
    generator = torch.Generator().manual_seed(1)
    features, *memory = (
        torch.randn(2, 32, h, w, generator=generator, dtype=torch.double) for h, w in [(16, 24), *SIZES]
    )
    with record_attention(head) as layers, torch.no_grad():
        head(features, memory)  # what is recorded is of the last call
        return head(features, memory), layers


@pytest.mark.parametrize('masked', [False, True])
def test_weights_are_those_of_torch(masked):
    torch.manual_seed(0)
    attention = Attention(32, 4).double()
    query, key, value = (torch.randn(2, n, 32, dtype=torch.double) for n in (5, 9, 9))
    mask = torch.rand(2, 1, 5, 9) > 0.5 if masked else None
    if mask is not None:
        mask[..., 0] = True
    weights = attention_weights(attention, query, key, mask)
    v = attention.v_proj(value).unflatten(-1, (4, -1)).transpose(1, 2)
    attended = attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attended, attention(query, key, value, mask), rtol=0, atol=1e-14)

    peer = nn.MultiheadAttention(32, 4, batch_first=True).double()
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    peer.in_proj_weight.data = torch.cat([x.weight for x in projections])
    peer.in_proj_bias.data = torch.cat([x.bias for x in projections])
    blocked = None if mask is None else ~mask.expand(2, 4, 5, 9).flatten(0, 1)
    _, theirs = peer(query, key, value, attn_mask=blocked, average_attn_weights=False)
    torch.testing.assert_close(weights, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize('schedule, levels', [('round_robin', [0, 1, 2, 0]), (1, [1] * 4), ('concat', [None] * 4)])
def test_every_layer_is_recorded_with_its_level(schedule, levels):
    _, layers = run_head(make_head(level_schedule=schedule))
    assert [layer.sizes for layer in layers] == [SIZES if i is None else [SIZES[i]] for i in levels]
    for layer in layers:
        assert layer.weights.shape == layer.mask.shape == (2, 7, sum(h * w for h, w in layer.sizes))
        torch.testing.assert_close(layer.weights.sum(-1), torch.ones(2, 7).double())
        assert not layer.weights[~layer.mask].any() and not layer.mask.all()
        torch.testing.assert_close(layer.heads(1, 3).mean(0), layer.weights[1, 3], rtol=0, atol=1e-15)


def test_recording_changes_nothing_and_ends():
    head = make_head()
    recorded, layers = run_head(head)
    generator = torch.Generator().manual_seed(1)
    features, *memory = (
        torch.randn(2, 32, h, w, generator=generator, dtype=torch.double) for h, w in [(16, 24), *SIZES]
    )
    with torch.no_grad():
        plain = head(features, memory)
    assert all(torch.equal(a, b) for a, b in zip(recorded, plain))
    before = len(layers)
    with torch.no_grad():
        head(features, memory)
    assert len(layers) == before == 4 and not head._forward_pre_hooks


def test_without_masked_attention_a_query_may_look_everywhere():
    _, layers = run_head(make_head(masked_attention=False))
    assert all(layer.mask is None and (layer.weights > 0).all() for layer in layers)


def test_other_heads_are_refused():
    with pytest.raises(ConfigError, match='a Linear'), record_attention(nn.Linear(1, 1)):
        pass


def test_share_of_the_mass():
    _, layers = run_head(make_head())
    queries = torch.tensor([4, 0])
    everything = torch.ones(2, 64, 96, dtype=torch.bool)
    left = everything.clone()
    left[..., 40:] = False
    for layer in layers:
        torch.testing.assert_close(mass_inside(layer, 1, queries, everything), torch.ones(2).double())
        assert not mass_inside(layer, 1, queries, ~everything).any()
        h, w = layer.sizes[0]
        weights = layer.weights[1, queries].view(2, h, w)
        share = (torch.arange(1, w + 1) * 96 / w).clamp(max=40).diff(prepend=torch.zeros(1)) / (96 / w)
        torch.testing.assert_close(mass_inside(layer, 1, queries, left), (weights * share).sum((1, 2)))
        torch.testing.assert_close(mass_inside(layer, 1, queries, left) + mass_inside(layer, 1, queries, ~left),
                                   torch.ones(2).double())  # fmt: skip


def test_a_mask_of_allowed_cells_has_all_of_the_mass():
    _, layers = run_head(make_head())
    for layer in layers:
        h, w = layer.sizes[0]
        allowed = layer.mask[0].view(7, 1, h, w).float()
        masks = F.interpolate(allowed, size=(64, 96), mode='nearest')[:, 0] > 0
        torch.testing.assert_close(mass_inside(layer, 0, torch.arange(7), masks), torch.ones(7).double())


def make_looked() -> Looked:
    output, layers = run_head(make_head())
    output = HeadOutput(output.class_logits[:, :1], output.mask_embed[:, :1], output.mask_features[:1])
    masks = torch.zeros(2, 64, 96, dtype=torch.bool)
    masks[0, :32], masks[1, 32:, :24] = True, True
    return Looked(torch.rand(1, 3, 64, 96), output, layers, torch.tensor([1, 3]), torch.tensor([0, 2]), masks)


def test_means_over_segments():
    image = make_looked()
    table = measure_mass([image, image], (True, False, False))
    assert [(row['layer'], row['stride']) for row in table] == [(1, 32), (2, 16), (3, 8), (4, 32)]
    for row, layer in zip(table, image.layers):
        thing, stuff = mass_inside(layer, 0, image.queries, image.masks).tolist()
        assert row['things'] == dict(inside=round(thing, 4), even=0.5, segments=2)
        assert row['stuff'] == dict(inside=round(stuff, 4), even=0.125, segments=2)
        assert row['all']['segments'] == 4 and row['all']['inside'] == pytest.approx((thing + stuff) / 2, abs=1e-4)
    assert measure_mass([image], (True, True, True))[0]['stuff'] == dict(inside=None, even=None, segments=0)
    assert covered_shares(image.masks, [(2, 3)])[0].tolist() == [1, 1, 1, 0, 0, 0]


def test_truth_is_resized_and_padded():
    id_map = torch.zeros(1, 4, 6, dtype=torch.int32)
    id_map[0, :2], id_map[0, 2:, 3:] = 7, 9
    sample = DetDataSample(metainfo=dict(img_shape=(8, 12), ori_shape=(4, 6)))
    infos = [dict(id=7, label=1, iscrowd=False), dict(id=9, label=0, iscrowd=True), dict(id=5, label=2, iscrowd=False)]
    sample.gt_panoptic_seg = PixelData(metainfo=dict(segments_info=infos), id_map=id_map)
    truth = truth_at_input(sample, (32, 32))
    assert truth.labels.tolist() == [1]  # 9 is crowd, of 5 no pixel is there
    expected = torch.zeros(1, 32, 32, dtype=torch.bool)
    expected[0, :4, :12] = True
    assert torch.equal(truth.masks, expected)
    with pytest.raises(ConfigError, match='panoptic truth'):
        truth_at_input(DetDataSample(metainfo=dict(img_shape=(8, 12))), (32, 32))


def test_strip_is_drawn(tmp_path):
    image = make_looked()
    for segment in (0, 1):
        query, truth = int(image.queries[segment]), image.masks[segment]
        view = view_query(image.output, image.layers, 0, query, ('a', 'b', 'c'), (64, 96), truth)
        shares = [float(mass_inside(layer, 0, image.queries, image.masks)[segment]) for layer in image.layers]
        assert [layer.inside for layer in view.layers] == pytest.approx(shares, abs=1e-6)
        draw_strip(view, image.inputs[0].mean(0).numpy(), tmp_path / f'{segment}.png')
    pictures = [(tmp_path / f'{segment}.png').read_bytes() for segment in (0, 1)]
    assert all(picture.startswith(b'\x89PNG') for picture in pictures) and pictures[0] != pictures[1]


def test_values_lie_over_their_cells():
    _, layers = run_head(make_head(level_schedule='concat'))
    values = torch.arange(6 + 24 + 96.0)
    found = spread(values, layers[0].sizes, (16, 24))
    shares = [1 / 64, 1 / 16, 1 / 4]  # a token of 2 x 3 covers 64 cells of 16 x 24
    assert found[0, 0] == pytest.approx(0 * shares[0] + 6 * shares[1] + 30 * shares[2])
    assert found[-1, -1] == pytest.approx(5 * shares[0] + 29 * shares[1] + 125 * shares[2])
    assert found.sum() == pytest.approx(values.sum())
