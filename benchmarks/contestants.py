"""One interface to our model and its peers: a training step, a prediction, and the logits to compare them by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models import Mask2Former
from mask2former.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

from .clips import is_video, mmdet_video_calls
from .peers import build_peer, freeze_norms

VOID = 255


@dataclass
class Contestant:
    """A model and what is measured of it.

    Attributes:
        model: The model.
        train_step: One step: forward, loss, backward, clipping, optimizer.
        predict: Results at the original sizes.
        update: Clipping and the optimizer, the last part of a training step.
        logits: The last decoder output's class logits (B, Q, K + 1) and mask logits (B, Q, h, w).
    """

    model: nn.Module
    train_step: Callable[[], object]
    predict: Callable[[], object]
    update: Callable[[], object]
    logits: Callable[[], tuple[Tensor, Tensor]]


def build_model(cfg: Config, metainfo: dict, num_queries: int | None, outputs: Sequence[str]) -> Mask2Former:
    """Our model with random weights; of the postprocessors it has those named in ``outputs``."""
    cfg = cfg.copy()
    cfg.backbone.init_cfg = cfg.head.init_cfg = None
    if num_queries is not None:
        cfg.head.num_queries = num_queries
    unknown = set(outputs) - set(cfg.postprocessors)
    if unknown:
        raise ConfigError(f'The config has no output {sorted(unknown)}: use some of {sorted(cfg.postprocessors)}.')
    for name in set(cfg.postprocessors) - set(outputs):
        cfg.postprocessors[name] = None
    return MODELS.build(dict(cfg, metainfo=metainfo))


def our_contestant(
    model: Mask2Former, cfg: Config, images: Tensor, samples: list[DetDataSample], amp: str | None
) -> Contestant:
    """Our model with the optimizer of its config."""
    wrapper = dict(cfg.optim_wrapper, amp_dtype=amp)
    constructor = dict(type=wrapper.pop('constructor'), paramwise_cfg=wrapper.pop('paramwise_cfg', None))
    optim_wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(constructor, optim_wrapper_cfg=wrapper))(model)

    def train_step() -> None:
        with optim_wrapper.optim_context(model):
            losses = model(images, samples, mode='loss')
        optim_wrapper.update_params(sum(losses.values()))

    def predict() -> list[DetDataSample]:
        with torch.no_grad(), _autocast(images, amp):
            return model(images, [sample.clone() for sample in samples], mode='predict')

    def update() -> None:
        optim_wrapper.step()
        optim_wrapper.zero_grad()

    return Contestant(model, train_step, predict, update, lambda: model(images, mode='tensor'))


def peer_contestant(
    name: str,
    cfg: Config,
    metainfo: dict,
    num_queries: int,
    images: Tensor,
    samples: list[DetDataSample],
    outputs: Sequence[str],
    amp: str | None,
) -> Contestant:
    """A peer with AdamW and clipping as its users have them."""
    model = build_peer(name, cfg, metainfo['isthing'], num_queries, (images.shape[-2], images.shape[-1])).to(
        images.device
    )
    if is_video(cfg):
        compute_loss, predict, logits = mmdet_video_calls(model, images, samples)
    else:
        make = _mmdet_calls if name == 'mmdet' else _transformers_calls
        compute_loss, predict, logits = make(model, images, samples, metainfo['isthing'], outputs)
    freeze_norms(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.05)

    def train_step() -> None:
        with _autocast(images, amp):
            loss = compute_loss()
        loss.backward()
        update()

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(parameters, 0.01)
        optimizer.step()
        optimizer.zero_grad()

    def predict_once() -> object:
        with torch.no_grad(), _autocast(images, amp):
            return predict()

    return Contestant(model, train_step, predict_once, update, logits)


def _autocast(images: Tensor, amp: str | None) -> torch.autocast:
    dtype = None if amp is None else getattr(torch, amp)
    return torch.autocast(images.device.type, dtype=dtype, enabled=amp is not None)


def _mmdet_calls(
    model: Any, images: Tensor, samples: list[DetDataSample], isthing: Sequence[bool], outputs: Sequence[str]
) -> tuple[Callable, ...]:
    if 'semantic' in outputs:
        raise ConfigError("mmdet's models have no semantic output: use --outputs panoptic instance.")
    model.panoptic_fusion_head.test_cfg.update(panoptic_on='panoptic' in outputs, instance_on='instance' in outputs)
    samples = [_mmdet_sample(sample, isthing, images.device) for sample in samples]

    def compute_loss() -> Tensor:
        losses = model.loss(images, samples).values()
        return torch.cat([x.flatten() for loss in losses for x in (loss if isinstance(loss, list) else [loss])]).sum()

    def logits() -> tuple[Tensor, Tensor]:
        classes, masks = model.panoptic_head(model.extract_feat(images), samples)
        return classes[-1], masks[-1]

    return compute_loss, lambda: model.predict(images, [sample.clone() for sample in samples]), logits


def _mmdet_sample(sample: DetDataSample, isthing: Sequence[bool], device: torch.device) -> DetDataSample:
    """The same segments in mmdet's form: things as instances, stuff as a map of classes, where it does not overlap."""
    segments = sample.gt_segments.to('cpu')
    H, W = segments.masks.shape[-2:]
    thing = torch.tensor([isthing[label] for label in segments.labels.tolist()], dtype=torch.bool)
    classes = torch.full((1, H, W), VOID)
    for label, mask in zip(segments.labels[~thing].tolist(), segments.masks[~thing]):
        classes[0][mask] = label
    result = DetDataSample(metainfo=sample.metainfo)
    result.gt_instances = InstanceData(
        labels=segments.labels[thing],
        bboxes=torch.zeros(int(thing.sum()), 4),
        masks=BitmapMasks(segments.masks[thing].numpy().astype(np.uint8), H, W),
    )
    result.gt_sem_seg = PixelData(sem_seg=classes)
    return result.to(device)


def _transformers_calls(
    model: Any, images: Tensor, samples: list[DetDataSample], isthing: Sequence[bool], outputs: Sequence[str]
) -> tuple[Callable, ...]:
    from transformers import (
        EomtImageProcessorPil,
        Mask2FormerImageProcessorPil,
        MaskFormerForInstanceSegmentation,
        MaskFormerImageProcessorPil,
    )

    maskformer = isinstance(model, MaskFormerForInstanceSegmentation)
    stuff = [label for label, thing in enumerate(isthing) if not thing]
    processor: Any
    merged: dict[str, Any]
    if model.config.model_type.startswith('eomt'):
        side = images.shape[-1]
        processor = EomtImageProcessorPil(size=dict(shortest_edge=side, longest_edge=side))
        merged = dict(stuff_classes=stuff)
    else:
        processor = MaskFormerImageProcessorPil() if maskformer else Mask2FormerImageProcessorPil()
        merged = dict(label_ids_to_fuse=set(stuff))
    # transformers 5.23 keeps what its loss of the other decoder outputs is made of only when asked at the call.
    extra = dict(output_hidden_states=True) if maskformer else {}
    masks = [sample.gt_segments.masks.float() for sample in samples]
    labels = [sample.gt_segments.labels for sample in samples]
    sizes = [sample.ori_shape for sample in samples]

    def predict() -> dict[str, list]:
        out = model(pixel_values=images, **extra)
        calls = dict(
            panoptic=lambda: processor.post_process_panoptic_segmentation(
                out, threshold=0.8, target_sizes=sizes, **merged
            ),
            instance=lambda: processor.post_process_instance_segmentation(out, threshold=0.0, target_sizes=sizes),
            semantic=lambda: processor.post_process_semantic_segmentation(out, target_sizes=sizes),
        )
        return {name: calls[name]() for name in outputs}

    def logits() -> tuple[Tensor, Tensor]:
        out = model(pixel_values=images, **extra)
        return out.class_queries_logits, out.masks_queries_logits

    return lambda: model(pixel_values=images, mask_labels=masks, class_labels=labels, **extra).loss, predict, logits
