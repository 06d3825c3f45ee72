"""Models with the same weights as peers that other people wrote: mmdet's Mask2Former and transformers'."""

from pathlib import Path

import mmdet
import torch
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mask2former.checkpoints.mmdet_keys import MMDET
from mask2former.checkpoints.transformers_keys import TRANSFORMERS
from mask2former.datasets.metainfo import known_metainfo
from mask2former.registry import MODELS

ROOT = Path(__file__).parents[2]
MMDET_CONFIGS = Path(mmdet.__file__).parent / '.mim/configs/mask2former'
BACKBONES = ('r50', 'swin-t')


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Move every weight and BN statistic away from its initialisation, so that nothing is zero or one by chance."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        if 'running_var' in name:
            value.mul_((0.2 * noise).exp())
        elif value.ndim >= 2:
            value.add_(0.1 * noise * value.std().clamp(min=0.02))
        else:
            value.add_(0.1 * noise)


def build_ours(backbone: str) -> torch.nn.Module:
    """Our model with COCO's classes and random weights, in evaluation mode."""
    cfg = Config.fromfile(ROOT / f'configs/_base_/models/mask2former_{backbone}.py').model
    cfg.backbone.init_cfg = None
    if backbone == 'swin-t':
        cfg.backbone.drop_path_rate = 0.0
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg, metainfo=known_metainfo('coco_panoptic')))
    for part in (model.pixel_decoder, model.head):
        part.init_weights()
    randomise(model)
    return model.eval()


def build_mmdet(ours: torch.nn.Module, backbone: str) -> torch.nn.Module:
    """mmdet's model with our model's weights; every one of its weights is set."""
    register_all_modules(init_default_scope=False)
    name = {'r50': 'r50', 'swin-t': 'swin-t-p4-w7-224'}[backbone]
    cfg = Config.fromfile(MMDET_CONFIGS / f'mask2former_{name}_8xb2-lsj-50e_coco-panoptic.py').model
    cfg.backbone.init_cfg = None
    if backbone == 'swin-t':
        cfg.backbone.drop_path_rate = 0.0
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(dict(cfg, type='mmdet.Mask2Former'))
    model.load_state_dict(MMDET.to_theirs(ours.state_dict()), strict=True)
    return model.eval().to(next(ours.parameters()).dtype)


def build_transformers(ours: torch.nn.Module, backbone: str) -> torch.nn.Module:
    """transformers' model with our model's weights; every one of its weights that is used is set."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig, SwinConfig
    features = [f'stage{i}' for i in range(1, 5)]
    if backbone == 'r50':
        backbone_config = ResNetConfig(out_features=features)
    else:
        backbone_config = SwinConfig(
            embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_size=7, drop_path_rate=0.0,
            out_features=features)
    config = Mask2FormerConfig(backbone_config=backbone_config, num_labels=133)
    model = Mask2FormerForUniversalSegmentation(config)
    state = {name: value for name, value in ours.state_dict().items() if 'relative_position_index' not in name}
    missing, unexpected = model.load_state_dict(TRANSFORMERS.to_theirs(state), strict=False)
    assert not unexpected
    assert all(name == 'criterion.empty_weight' or 'swin.layernorm' in name for name in missing), missing
    return model.eval().to(next(ours.parameters()).dtype)


def smooth_masks(count: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Random blobs (count, H, W) bool that are neither empty nor full."""
    noise = torch.randn(count, 1, 5, 6, generator=generator)
    noise = torch.nn.functional.interpolate(noise, size=(height, width), mode='bicubic')[:, 0]
    return noise > noise.flatten(1).median(1).values[:, None, None]


def make_batch(counts: list[int], shape: tuple[int, int] = (128, 160), seed: int = 0,
               dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, list[DetDataSample]]:
    """Normalised images (B, 3, H, W) with so many segments each, as the data preprocessor gives them.

    The image proper is smaller than the batch: the last 9 rows and 14 columns are padding.
    """
    generator = torch.Generator().manual_seed(seed)
    H, W = shape
    h, w = H - 9, W - 14
    images = torch.randn(len(counts), 3, H, W, generator=generator, dtype=dtype)
    images[..., h:, :] = 0
    images[..., w:] = 0
    samples = []
    for b, count in enumerate(counts):
        masks = torch.zeros(count, H, W, dtype=torch.bool)
        masks[:, :h, :w] = smooth_masks(count, h, w, generator)
        meta = dict(img_id=b, batch_input_shape=shape, img_shape=(h, w), ori_shape=(2 * h - 7, 2 * w + 5))
        sample = DetDataSample(metainfo=meta)
        sample.gt_segments = InstanceData(labels=torch.randint(133, (count,), generator=generator), masks=masks)
        samples.append(sample)
    return images, samples
