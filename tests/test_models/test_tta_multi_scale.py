"""The config of many scales, run: its result is that of plain arithmetic, view by view."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from PIL import Image

from mask2former.registry import MODELS
from tests.tiny import tiny_config

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/tta/semantic_multi_scale.py'
# Shorter sides of the views in the reference's config for ADE20K, and the longer side at most, at 512 pixels.
SIDES, LONGEST = (256, 384, 512, 640, 768, 896), 3584


@pytest.fixture(scope='module', params=['masks', 'scores'])
def resize(request) -> str:
    """What is brought to the image's size."""
    return request.param


@pytest.fixture(scope='module')
def model(resize) -> torch.nn.Module:
    """A model of semantic results alone, untrained, whose masks and classes differ enough to make several regions."""
    torch.manual_seed(1)
    semantic = dict(type='SemanticInference', resize=resize)
    config = dict(tiny_config(num_queries=12), postprocessors=dict(semantic=semantic))
    built = MODELS.build(config).eval()
    built.init_weights()
    torch.nn.init.normal_(built.head.query_feat.weight, std=4)
    torch.nn.init.normal_(built.head.class_embed.weight, std=0.5)
    *_, last = (layer for layer in built.head.mask_embed.modules() if isinstance(layer, torch.nn.Linear))
    with torch.no_grad():
        last.weight.mul_(20)
    return built


@pytest.fixture(scope='module')
def path(tmp_path_factory) -> str:
    """An image 70 x 100 of coloured blocks and noise."""
    rng = np.random.default_rng(1)
    image = np.kron(rng.integers(0, 256, (7, 10, 3)), np.ones((10, 10, 1))) + rng.integers(-20, 20, (70, 100, 3))
    path = tmp_path_factory.mktemp('image') / 'a.png'
    cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))
    return str(path)


def class_scores(model, image, side, flip, resize) -> torch.Tensor:
    """Class scores (K, H, W) of one view, at the size (H, W) of the original image."""
    H, W = image.shape[:2]
    scale = min(side / min(H, W), LONGEST / max(H, W))
    resized = np.asarray(Image.fromarray(image).resize((round(W * scale), round(H * scale)), Image.Resampling.BILINEAR))
    rgb = torch.from_numpy(resized[..., ::-1].copy()).float().permute(2, 0, 1)  # (3, h, w)
    rgb = (rgb.flip(-1) if flip else rgb).sub(torch.tensor([123.675, 116.28, 103.53])[:, None, None])
    rgb = rgb / torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    h, w = rgb.shape[1:]
    padded = tuple(math.ceil(length / 32) * 32 for length in (h, w))
    with torch.no_grad():
        class_logits, low = model(F.pad(rgb, (0, padded[1] - w, 0, padded[0] - h))[None])  # low: (1, Q, h / 4, w / 4)
    masks = F.interpolate(low, size=padded, mode='bilinear')[..., :h, :w]
    if resize == 'masks':
        masks = F.interpolate(masks, size=(H, W), mode='bilinear')
    scores = torch.einsum('qk,qhw->khw', class_logits[0].softmax(-1)[:, :-1].double(), masks[0].sigmoid().double())
    if resize == 'scores':
        scores = F.interpolate(scores[None], size=(H, W), mode='bilinear')[0]
    return scores.flip(-1) if flip else scores


def test_the_result_is_the_mean_of_the_views(model, path, resize):
    cfg = Config.fromfile(CONFIG)
    with DefaultScope.overwrite_default_scope('mask2former'):
        pipeline = Compose([step for step in cfg.tta_pipeline if step['type'] != 'LoadSemanticGroundTruth'])
        augmented = MODELS.build(dict(cfg.tta_model, module=model))
    [sample] = augmented.test_step(pseudo_collate([pipeline(dict(img_path=path))]))
    found = sample.pred_sem_seg.sem_seg[0]

    views = [class_scores(model, cv2.imread(path), side, flip, resize) for side in SIDES for flip in (False, True)]
    scores = torch.stack(views)  # (V, K, H, W)
    mean = scores.mean(0)
    best, second = mean.topk(2, dim=0).values
    sure = best - second > 1e-5
    labels = mean.argmax(0)
    assert sure.float().mean() > 0.99 and len(labels.unique()) >= 3
    assert torch.equal(found[sure], labels[sure])
    # No view is idle here: without any one of them, or with it not flipped back, other classes win.
    for view in scores:
        for other in (0, view.flip(-1)):
            assert ((scores.sum(0) - view + other).argmax(0) != labels)[sure].any()
