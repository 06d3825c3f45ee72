"""A model whose predictions of a flipped image are its flipped predictions, with pixels of many classes."""

import torch
import torch.nn.functional as F

from mask2former.models.head import HeadOutput
from mask2former.registry import MODELS
from tests.tiny import tiny_config

Q, K = 12, 4


def build_flip_equivariant(postprocessors: dict | None = None, **options) -> torch.nn.Module:
    """The tiny model with a simple function for its network.

    Mask features are means over pixels; class logits depend on the mean of the whole input. ``model.order``, by default
    the identity, is a function of the number of the call that says in what order the queries come.
    """
    config = tiny_config(num_queries=Q)
    model = MODELS.build(dict(config, postprocessors=postprocessors or config['postprocessors'], **options)).eval()
    generator = torch.Generator().manual_seed(3)
    class_logits = torch.randn(Q, K + 1, generator=generator) * 3
    embed = torch.randn(Q, 6, generator=generator) * 6
    model.calls = 0
    model.order = lambda call: torch.arange(Q)

    def extract(inputs):
        order = model.order(model.calls)
        model.calls += 1
        features = F.avg_pool2d(torch.cat((inputs, inputs.square() - 1), 1), 4)  # (B, 6, h, w)
        logits = class_logits[order] * (1 + inputs.mean((1, 2, 3)).view(-1, 1, 1))  # (B, Q, K + 1)
        return HeadOutput(logits[None], embed[order].expand(1, len(inputs), Q, 6), features)

    model.extract = extract
    return model
