"""The pixel decoders against plain arithmetic and torch's own layers."""

import pytest
import torch
import torch.nn.functional as F

from mask2former.errors import ConfigError
from mask2former.models.pixel_decoder import FPNPixelDecoder, TransformerFPNPixelDecoder

CHANNELS, C = (8, 16, 24, 32), 32
SIZES = [(23, 31), (12, 16), (6, 8), (3, 4)]  # not each twice the next


def features():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, c, *size, generator=generator, dtype=torch.float64) for c, size in zip(CHANNELS, SIZES)]


def build(cls, **options):
    torch.manual_seed(0)
    decoder = cls(CHANNELS, embed_dims=C, mask_dims=24, **options).double().eval()
    decoder.init_weights()
    return decoder


@pytest.mark.parametrize('memory', ['pyramid', 'top'])
def test_fpn(memory):
    decoder = build(FPNPixelDecoder, memory=memory)
    mask_features, maps = decoder(features())
    *finer, top = features()

    def conv_norm(x, module):
        return F.group_norm(
            F.conv2d(x, module[0].weight, padding=module[0].weight.shape[-1] // 2), 32, module[1].weight, module[1].bias
        )

    x = conv_norm(top, decoder.top_conv).relu()
    pyramid = [x]
    for lateral, output, feature in zip(decoder.lateral_convs, decoder.output_convs, finer[::-1]):
        x = conv_norm(conv_norm(feature, lateral) + F.interpolate(x, size=feature.shape[-2:]), output).relu()
        pyramid.append(x)
    expected = F.conv2d(x, decoder.mask_proj.weight, decoder.mask_proj.bias, padding=1)
    torch.testing.assert_close(mask_features, expected, rtol=0, atol=1e-12)
    projected = F.conv2d(top, decoder.memory_proj.weight, decoder.memory_proj.bias) if memory == 'top' else None
    wanted = pyramid[:3] if memory == 'pyramid' else [projected]
    assert len(maps) == len(wanted) == decoder.num_levels
    for mine, other in zip(maps, wanted):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


def test_the_encoder_is_torch_s(monkeypatch):
    decoder = build(TransformerFPNPixelDecoder, num_layers=2, num_heads=4, ffn_dims=20, memory='top')
    layer = torch.nn.TransformerEncoderLayer(C, 4, 20, dropout=0.0, batch_first=True).double().eval()
    tokens = torch.randn(2, 12, C, dtype=torch.float64)
    ours = decoder.encoder[0]
    with torch.no_grad():
        projections = (ours.self_attn.q_proj, ours.self_attn.k_proj, ours.self_attn.v_proj)
        layer.self_attn.in_proj_weight.copy_(torch.cat([x.weight for x in projections]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([x.bias for x in projections]))
    layer.self_attn.out_proj.load_state_dict(ours.self_attn.out_proj.state_dict())
    layer.norm1.load_state_dict(ours.self_norm.state_dict())
    layer.norm2.load_state_dict(ours.ffn.norm.state_dict())
    layer.linear1.load_state_dict(ours.ffn.linear1.state_dict())
    layer.linear2.load_state_dict(ours.ffn.linear2.state_dict())
    zeros = torch.zeros(12, C, dtype=torch.float64)
    torch.testing.assert_close(ours(tokens, zeros), layer(tokens), rtol=0, atol=1e-12)
    [memory] = decoder(features())[1]
    pyramid = build(TransformerFPNPixelDecoder, num_layers=2, num_heads=4, ffn_dims=20)
    assert memory.shape == (2, C, 3, 4) and pyramid.num_levels == 3
    assert torch.equal(pyramid(features())[0], decoder(features())[0])


def test_dropout_and_recomputation():
    gradients = []
    for with_cp in (False, True):
        decoder = build(TransformerFPNPixelDecoder, num_layers=2, ffn_dims=20, dropout=0.2, with_cp=with_cp).train()
        torch.manual_seed(3)
        decoder(features())[0].square().mean().backward()
        gradients.append([p.grad for p in decoder.parameters()])
    for mine, other in zip(*gradients):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(memory='all'), "memory must be 'pyramid' or 'top', not 'all'"),
        (dict(strides=(4, 8)), 'must be of one length'),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        FPNPixelDecoder(CHANNELS, **options)
