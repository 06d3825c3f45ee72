"""The layers that head and pixel decoder share."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from mask2former.models.layers import sine_position


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_positions_keep_their_type_and_values_when_compiled(dtype):
    """inductor replaces a cumulative sum of ones and drops its dtype: there is none, and types are the same."""

    def encode(like):
        return sine_position(*like.shape, 32, like.device, dtype)

    like = torch.zeros(9, 14)
    eager = encode(like)
    assert eager.dtype == dtype
    exact = sine_position(9, 14, 32, torch.device('cpu'), torch.float64)
    assert (eager.double() - exact).abs().max() <= max(torch.finfo(dtype).eps, 1e-6), 'positions are rounded once'
    operators = {str(node.target) for node in make_fx(encode)(like).graph.nodes}
    assert 'aten.sin.default' in operators and not any('cumsum' in name for name in operators)
    torch._dynamo.reset()
    compiled = torch.compile(encode, backend='aot_eager')(like)
    torch._dynamo.reset()
    assert compiled.dtype == dtype and torch.equal(compiled, eager)
