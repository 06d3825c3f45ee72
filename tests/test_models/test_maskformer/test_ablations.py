"""The switches of the head do what their names say (paper tables 4 and X)."""

import pytest
import torch

from mask2former.errors import ConfigError
from mask2former.models import MaskedAttentionHead
from mask2former.models import head as head_module

K, Q, C, B = 4, 6, 16, 2
SIZES = [(3, 4), (6, 8), (12, 16)]


def make_head(**switches):
    torch.manual_seed(0)
    head = MaskedAttentionHead(K, C, C, Q, num_layers=4, num_heads=2, ffn_dims=24, **switches)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head.double().eval()


def inputs():
    generator = torch.Generator().manual_seed(1)
    memory = [torch.randn(B, C, h, w, generator=generator, dtype=torch.float64) for h, w in SIZES]
    return torch.randn(B, C, 24, 32, generator=generator, dtype=torch.float64), memory


@pytest.fixture
def seen(monkeypatch):
    """The inputs of every decoder layer."""
    calls = []
    run = head_module.run

    def spy(layer, *args, **kwargs):
        calls.append(args)
        return run(layer, *args, **kwargs)

    monkeypatch.setattr(head_module, 'run', spy)
    return calls


def test_without_masked_attention_a_mask_of_everything_is_none(seen, monkeypatch):
    output = make_head(masked_attention=False)(*inputs())
    assert all(args[-1] is None for args in seen)
    everywhere = make_head()
    monkeypatch.setattr(
        everywhere, 'attention_mask', lambda embed, features: torch.ones(B, 1, Q, features.shape[1], dtype=torch.bool)
    )
    for mine, other in zip(output, everywhere(*inputs())):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)
    assert not torch.allclose(output.class_logits, make_head()(*inputs()).class_logits)


@pytest.mark.parametrize('schedule', [0, 1, 2, 'round_robin', 'concat'])
def test_level_schedule(schedule, seen):
    make_head(level_schedule=schedule)(*inputs())
    tokens = [h * w for h, w in SIZES]
    expected = dict(round_robin=[*tokens, tokens[0]], concat=[sum(tokens)] * 4).get(schedule) or [tokens[schedule]] * 4
    assert [args[2].shape[1] for args in seen] == expected
    assert [args[4].shape[-1] for args in seen] == expected


def test_concat_has_the_tokens_of_all_levels_with_their_embeddings(seen):
    head = make_head(level_schedule='concat')
    mask_features, memory = inputs()
    head(mask_features, memory)
    expected = torch.cat(
        [x.flatten(2).transpose(1, 2) + head.level_embed.weight[i] for i, x in enumerate(memory)], dim=1
    )
    assert torch.equal(seen[0][2], expected)


def test_concat_looks_everywhere_only_where_the_mask_is_empty_in_all_levels():
    features = torch.full((1, 5, C), -1.0)
    features[0, 4] = 1  # of the last level alone
    inside = MaskedAttentionHead.attention_mask(torch.ones(1, 2, C), features)
    assert inside[0, 0].tolist() == [[False] * 4 + [True]] * 2


@pytest.mark.parametrize('level', [3, -1, 'all'])
def test_a_level_that_is_not_there_is_refused(level):
    with pytest.raises(ConfigError, match="level_schedule must be 'round_robin', 'concat' or a level from 0 to 2"):
        make_head(level_schedule=level)


def test_queries_that_are_not_learned_start_at_zero_and_predict_after_layers_only(seen):
    head = make_head(learned_queries=False)
    output = head(*inputs())
    assert output.class_logits.shape == (4, B, Q, K + 1)
    assert not seen[0][0].any() and seen[0][-1] is None and all(args[-1] is not None for args in seen[1:])
    assert 'query_feat.weight' not in head.state_dict()


def test_learned_queries_without_a_loss_give_the_first_mask_only(seen):
    supervised, unsupervised = make_head()(*inputs()), make_head(query_loss=False)(*inputs())
    assert len(supervised.class_logits) == 5 and len(unsupervised.class_logits) == 4
    assert torch.equal(supervised.class_logits[1:], unsupervised.class_logits)
    assert torch.equal(supervised.mask_embed[1:], unsupervised.mask_embed)
    assert seen[4][-1] is not None


def test_self_attention_first_is_torch_s_decoder_layer():
    """torch's layer adds no positions, hence none here."""
    head = make_head(cross_first=False, masked_attention=False)
    layer = head.layers[0]
    theirs = torch.nn.TransformerDecoderLayer(C, 2, 24, dropout=0.0, batch_first=True).double().eval()
    pairs = [(layer.self_attn, theirs.self_attn), (layer.cross_attn, theirs.multihead_attn)]
    state = {}
    with torch.no_grad():
        for ours, other in pairs:
            projections = (ours.q_proj, ours.k_proj, ours.v_proj)
            other.in_proj_weight.copy_(torch.cat([x.weight for x in projections]))
            other.in_proj_bias.copy_(torch.cat([x.bias for x in projections]))
            other.out_proj.load_state_dict(ours.out_proj.state_dict())
    norms = dict(norm1=layer.self_norm, norm2=layer.cross_norm, norm3=layer.ffn.norm)
    for name, module in dict(norms, linear1=layer.ffn.linear1, linear2=layer.ffn.linear2).items():
        state |= {f'{name}.{key}': value for key, value in module.state_dict().items()}
    theirs.load_state_dict(theirs.state_dict() | state)
    query, memory = torch.randn(B, Q, C, dtype=torch.float64), torch.randn(B, 7, C, dtype=torch.float64)
    zeros = torch.zeros(1, C, dtype=torch.float64)
    torch.testing.assert_close(layer(query, zeros, memory, zeros, None), theirs(query, memory), rtol=0, atol=1e-12)
    other_order = make_head(masked_attention=False).layers[0]
    assert not torch.allclose(other_order(query, zeros, memory, zeros, None), theirs(query, memory))


def test_dropout_is_random_in_training_alone_and_the_same_when_computed_again():
    gradients = []
    for with_cp in (False, True):
        head = make_head(dropout=0.3, with_cp=with_cp).train()
        torch.manual_seed(5)
        first = head(*inputs())
        first.class_logits.square().mean().backward()
        gradients.append({name: p.grad for name, p in head.named_parameters() if p.grad is not None})
        assert not torch.allclose(first.class_logits, head(*inputs()).class_logits)
        head.eval()
        assert torch.equal(head(*inputs()).class_logits, make_head()(*inputs()).class_logits)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=0, atol=1e-12)
