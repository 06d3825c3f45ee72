"""Clips to measure models of videos on, and their peer: mmdet's Mask2Former of videos."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mask2former.checkpoints.convert import FORMATS
from mask2former.checkpoints.key_map import rename
from mask2former.errors import ConfigError
from mask2former.registry import MODELS

from .synthetic import make_batch

MMDET_VIDEO = Path(mmdet.__file__).parent / '.mim/configs/mask2former_vis/mask2former_r50_8xb2-8e_youtubevis2019.py'


def is_video(cfg: Config) -> bool:
    """Whether a model config is that of a model of videos."""
    return cfg.type == 'VideoMask2Former'


def make_clips(counts: list[int], num_frames: int, *sizes: Any) -> tuple[Tensor, list[DetDataSample]]:
    """Clips and targets as the data preprocessor gives them.

    Args:
        counts: B numbers of tracks, each seen in every frame.
        num_frames: T.
        sizes: Those of :func:`make_batch`, and the number of classes.

    Returns:
        tuple: Clips (B, T, 3, H, W) and B data samples, whose ``gt_segments.masks`` are (N, T, H, W).
    """
    frames, samples = make_batch([count for count in counts for _ in range(num_frames)], *sizes)
    clips = []
    for b in range(len(counts)):
        first, *_ = own = samples[b * num_frames : (b + 1) * num_frames]
        clip = DetDataSample(metainfo=dict(first.metainfo, video_id=b))
        masks = torch.stack([frame.gt_segments.masks for frame in own], 1)  # (N, T, H, W)
        clip.gt_segments = InstanceData(labels=first.gt_segments.labels, masks=masks)
        clips.append(clip)
    return frames.unflatten(0, (len(counts), num_frames)), clips


def build_mmdet_video(cfg: Config, num_classes: int, num_queries: int) -> nn.Module:
    """mmdet's model of videos, of the architecture of our model config.

    Raises:
        ConfigError: If its backbone is no ResNet.
    """
    if cfg.backbone.type != 'FrozenBNResNet':
        raise ConfigError(f"The peer of videos has no backbone '{cfg.backbone.type}': compare a config with a ResNet.")
    register_all_modules(init_default_scope=False)
    model = Config.fromfile(MMDET_VIDEO).model
    model.backbone.update(depth=cfg.backbone.depth, init_cfg=None)
    model.track_head.update(num_classes=num_classes, num_queries=num_queries)
    model.track_head.loss_cls.class_weight = [1.0] * num_classes + [0.1]
    model.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(dict(model, type='mmdet.Mask2FormerVideo'))


def video_weights(image_weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """mmdet's names of the weights of a model of videos, of those of a model of images."""
    return rename(image_weights, FORMATS['mmdet'].of_videos)


def mmdet_video_calls(model: Any, clips: Tensor, samples: list[DetDataSample]) -> tuple[Callable, ...]:
    """Loss, prediction and logits of mmdet's model of videos, of clips (B, T, 3, H, W)."""
    model.track_head.num_frames = clips.shape[1]
    targets = [_frame_instances(sample) for sample in samples]

    def compute_loss() -> Tensor:
        losses = model.loss(clips, [_track_sample(*pair) for pair in zip(samples, targets)]).values()
        return torch.stack([loss.sum() for loss in losses]).sum()

    def predict() -> list:
        # It takes one video at a time.
        return [model.predict(clips[b : b + 1], [_track_sample(samples[b], targets[b])]) for b in range(len(samples))]

    def logits() -> tuple[Tensor, Tensor]:
        outputs = [model.track_head(model.backbone(clip), None) for clip in clips]
        classes, masks = zip(*((classes[-1], masks[-1]) for classes, masks in outputs))
        return torch.cat(classes), torch.cat(masks)

    return compute_loss, predict, logits


def _frame_instances(sample: DetDataSample) -> list[dict[str, Any]]:
    """The instances of each frame in mmdet's form."""
    labels, masks = sample.gt_segments.labels, sample.gt_segments.masks
    ids = torch.arange(len(labels), device=labels.device)
    bitmaps = [BitmapMasks(frame.cpu().numpy().astype(np.uint8), *frame.shape[-2:]) for frame in masks.unbind(1)]
    return [dict(labels=labels, instances_ids=ids, masks=frame) for frame in bitmaps]


def _track_sample(sample: DetDataSample, frames: list[dict[str, Any]]) -> TrackDataSample:
    """A data sample of mmdet's, made anew for each step: its loss changes the masks in it."""
    found = []
    for frame in frames:
        one = DetDataSample(metainfo=sample.metainfo)
        one.gt_instances = InstanceData(**frame)
        found.append(one)
    return TrackDataSample(video_data_samples=found)
