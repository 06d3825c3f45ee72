"""Models with the same weights as peers that other people wrote: mmdet's Mask2Former and transformers'."""

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config

from benchmarks import synthetic
from benchmarks.peers import build_peer, load_weights, peer_weights
from benchmarks.synthetic import randomise
from mask2former.formats.known_metainfo import known_metainfo
from mask2former.registry import MODELS

ROOT = Path(__file__).parents[2]
BACKBONES = ('r50', 'swin-t')


def model_config(backbone: str) -> Config:
    """The config of our model, without the randomness of Swin's training."""
    cfg = Config.fromfile(ROOT / f'configs/_base_/models/mask2former_{backbone}.py').model
    cfg.backbone.init_cfg = None
    if backbone == 'swin-t':
        cfg.backbone.drop_path_rate = 0.0
    return cfg


def build_ours(backbone: str) -> torch.nn.Module:
    """Our model with COCO's classes and random weights, in evaluation mode."""
    torch.manual_seed(0)
    model = MODELS.build(dict(model_config(backbone), metainfo=known_metainfo('coco_panoptic')))
    for part in (model.pixel_decoder, model.head):
        part.init_weights()
    randomise(model)
    return model.eval()


def build_mmdet(ours: torch.nn.Module, backbone: str) -> torch.nn.Module:
    """mmdet's model with our model's weights; every one of its weights is set."""
    return _build('mmdet', ours, backbone)


def build_transformers(ours: torch.nn.Module, backbone: str) -> torch.nn.Module:
    """transformers' model with our model's weights; every one of its weights that is used is set."""
    return _build('transformers', ours, backbone)


def _build(name: str, ours: torch.nn.Module, backbone: str) -> torch.nn.Module:
    peer = build_peer(name, model_config(backbone), ours.isthing, ours.head.query_feat.num_embeddings)
    load_weights(name, peer, peer_weights(name, ours.state_dict()))
    return peer.to(next(ours.parameters()).dtype)


def in_turn(points: torch.Tensor) -> Callable:
    """Stands for ``uncertain_points``: to the masks of one call after another it gives their rows of (M, P, 2)."""
    rows = itertools.cycle(points)
    return lambda logits, *args: torch.stack([next(rows) for _ in logits]).to(logits.dtype)


def make_batch(
    counts: list[int], shape: tuple[int, int] = (128, 160), seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, list[DetDataSample]]:
    """Normalised images (B, 3, H, W) with so many segments each, as the data preprocessor gives them.

    The image proper is smaller than the batch: the last 9 rows and 14 columns are padding.
    """
    h, w = shape[0] - 9, shape[1] - 14
    return synthetic.make_batch(counts, shape, (h, w), (2 * h - 7, 2 * w + 5), num_classes=133, seed=seed, dtype=dtype)
