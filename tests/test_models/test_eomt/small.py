"""A small EoMT, and that of transformers, which takes its weights."""

import torch

from benchmarks import synthetic
from benchmarks.synthetic import randomise
from mask2former.checkpoints import keys_eomt
from mask2former.registry import MODELS

CLASSES, ISTHING = ('cat', 'dog', 'car', 'sky', 'grass'), (True, True, True, False, False)
KINDS = ('dinov2', 'dinov2-gated', 'dinov3')
BACKBONE, BLOCKS, Q, C, HEADS = 2, 3, 7, 32, 2
D = BLOCKS + 1
SIDE = 96  # the peer is for square images of one size


def ffn_dims(kind: str) -> int:
    """transformers computes that of DINOv2's gated network: two thirds, to a multiple of 8."""
    return 88 if kind == 'dinov2-gated' else 128


def small_config(kind: str, side: int = SIDE) -> dict:
    """Config of our model."""
    rotated = kind == 'dinov3'
    block = dict(num_heads=HEADS, ffn_dims=ffn_dims(kind), gated=kind.endswith('gated'), key_bias=not rotated)
    positions = {} if rotated else dict(grid_size=(side // 16, side // 16))
    return dict(
        type='Mask2Former',
        backbone=dict(type='PlainViT', embed_dims=C, num_layers=BACKBONE, **block, **positions),
        pixel_decoder=dict(type='PatchTokens'),
        head=dict(type='EncoderOnlyHead', num_queries=Q, num_blocks=BLOCKS, **block),
        criterion=dict(type='PointSampledCriterion', matcher=dict(type='HungarianMatcher'), num_points=64),
        postprocessors=dict(
            panoptic=dict(type='PanopticFusion', score_thr=0.3, overlap_thr=0.5),
            instance=dict(type='InstanceTopK'),
            semantic=dict(type='SemanticInference'),
        ),
        metainfo=dict(classes=CLASSES, isthing=ISTHING),
    )


def build_small(kind: str, side: int = SIDE) -> torch.nn.Module:
    """Our model with random weights, in evaluation mode and float64."""
    torch.manual_seed(0)
    model = MODELS.build(small_config(kind, side))
    randomise(model)
    model.head.mask_probability.fill_(0.0)
    return model.double().eval()


@torch.no_grad()
def make_confident(ours: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """Change what the head predicts with so that each query is sure of a class, and its mask unlike the others'.

    Random weights are sure of nothing, and their queries have nearly the same masks.
    """
    head, seen = ours.head, {}
    hooks = [
        head.class_embed.register_forward_pre_hook(lambda module, args: seen.update(queries=args[0])),
        head.mask_embed.register_forward_hook(lambda module, args, out: seen.update(embed=out)),
    ]
    ours(images)
    for hook in hooks:
        hook.remove()
    logits = torch.zeros(Q, len(CLASSES) + 1, dtype=images.dtype)
    logits[range(Q), (0, 1, 3, 3, 4, len(CLASSES), 2)] = 4 + 0.3 * torch.arange(Q, dtype=images.dtype)
    head.class_embed.weight.copy_((torch.linalg.pinv(seen['queries'][0]) @ logits).T)
    head.class_embed.bias.zero_()
    last = head.mask_embed[-1]
    last.bias -= seen['embed'][0].mean(0)
    last.weight *= 8
    last.bias *= 8
    return ours


def key_map(ours: torch.nn.Module):
    """The table of names of both."""
    return keys_eomt.transformers(ours.state_dict())


def build_transformers(kind: str, ours: torch.nn.Module, side: int = SIDE) -> torch.nn.Module:
    """transformers' model with our model's weights, all of which are set."""
    from transformers import (
        EomtConfig,
        EomtDinov3Config,
        EomtDinov3ForUniversalSegmentation,
        EomtForUniversalSegmentation,
    )

    sizes = dict(
        hidden_size=C,
        num_hidden_layers=BACKBONE + BLOCKS,
        num_attention_heads=HEADS,
        image_size=side,
        num_blocks=BLOCKS,
        num_queries=Q,
        id2label=dict(enumerate(CLASSES)),
    )
    if kind == 'dinov3':
        peer = EomtDinov3ForUniversalSegmentation(
            EomtDinov3Config(intermediate_size=ffn_dims(kind), pos_embed_rescale=None, **sizes)
        )
        # computed in float32
        peer.rope_embeddings.inv_freq = 100.0 ** -torch.arange(0, 1, 4 * HEADS / C, dtype=torch.float64)
    else:
        peer = EomtForUniversalSegmentation(EomtConfig(use_swiglu_ffn=kind.endswith('gated'), **sizes))
    result = peer.load_state_dict(key_map(ours).to_theirs(ours.state_dict()), strict=False)
    assert not result.unexpected_keys and set(result.missing_keys) <= {'criterion.empty_weight'}, result
    for (
        layer
    ) in peer.layers:  # its mask is float32 in a float64 model, too, of which PyTorch's attention makes nonsense
        layer.register_forward_pre_hook(_with_double_mask)
    return peer.double().eval()


def _with_double_mask(layer, args):
    return tuple(None if x is None else x.double() for x in args)


def make_batch(counts: list[int], side: int = SIDE):
    """Images (B, 3, side, side) and targets with so many segments each."""
    shape = (side, side)
    return synthetic.make_batch(counts, shape, shape, (150, 173), len(CLASSES), dtype=torch.float64)
