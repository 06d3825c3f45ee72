"""A model that is small in every respect, and batches for it."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mask2former.registry import MODELS

CLASSES = ('a', 'b', 'c', 'd')


def tiny_config(num_queries: int = 5, **criterion) -> dict:
    """Config of a model with a ResNet-18 of an eighth of the width, whose batch norms keep their statistics."""
    return dict(
        type='Mask2Former',
        data_preprocessor=dict(type='SegDataPreprocessor'),
        backbone=dict(type='mmdet.ResNet', depth=18, stem_channels=8, base_channels=8, norm_eval=True, style='pytorch'),
        pixel_decoder=dict(
            type='MSDeformAttnPixelDecoder',
            embed_dims=32,
            mask_dims=32,
            num_layers=1,
            num_heads=4,
            num_points=2,
            ffn_dims=32,
            num_groups=8,
        ),
        head=dict(type='MaskedAttentionHead', num_queries=num_queries, num_layers=3, num_heads=4, ffn_dims=32),
        criterion=dict(type='PointSampledCriterion', matcher=dict(type='HungarianMatcher'), num_points=64, **criterion),
        postprocessors=dict(
            panoptic=dict(type='PanopticFusion', score_thr=0.0, overlap_thr=0.0),
            instance=dict(type='InstanceTopK'),
            semantic=dict(type='SemanticInference'),
        ),
        metainfo=dict(classes=CLASSES, isthing=(True, True, False, False)),
    )


def build_tiny(seed: int = 0, **kwargs) -> torch.nn.Module:
    """The initialised model in training mode."""
    torch.manual_seed(seed)
    model = MODELS.build(tiny_config(**kwargs))
    model.init_weights()
    return model.train()


def sample_of(masks: torch.Tensor, labels: list[int] | None = None, img_id: int = 0) -> DetDataSample:
    """A data sample with the masks (N, H, W) and labels of its segments."""
    shape = tuple(masks.shape[-2:])
    sample = DetDataSample(metainfo=dict(img_id=img_id, batch_input_shape=shape, img_shape=shape, ori_shape=shape))
    labels = [i % len(CLASSES) for i in range(len(masks))] if labels is None else labels
    sample.gt_segments = InstanceData(labels=torch.tensor(labels, dtype=torch.long), masks=masks)
    return sample


def random_images(count: int, size: tuple[int, int] = (64, 96), seed: int = 0) -> torch.Tensor:
    """Normalised images (count, 3, H, W)."""
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))
