"""Tiny models and batches for them; a tiny config, which trains on drawn images in a second, and runs of it."""

import uuid
from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from mask2former.apis.run_config import build_runner
from mask2former.data_tools.shapes import generate_shapes
from mask2former.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
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


# One encoder layer: with more, these untrained weights are so sensitive that a change of 1e-14 flips a discrete choice
# (a point, a mask's edge) and with it the fourth digit of the loss, and trainings can no longer be compared exactly.
CONFIG = """
_base_ = '{root}/configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py'
work_dir = '{folder}/work'
model = dict(
    backbone=dict(init_cfg=None, frozen_stages=-1),
    pixel_decoder=dict(embed_dims=32, mask_dims=32, num_layers=1, num_heads=2, ffn_dims=32),
    head=dict(num_layers=1, num_queries=10, num_heads=2, ffn_dims=32),
    criterion=dict(num_points=64),
    postprocessors=dict(panoptic=dict(score_thr=0.0, overlap_thr=0.1), instance=dict(max_per_image=60)))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(
        data_root='{data}/', filter_cfg=dict(filter_empty_gt=False)))
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}/'))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='PanopticQuality'),
    dict(type='InstanceAP', ann_file='{data}/annotations/instances_val.json'),
    dict(type='SemanticIoU'),
]
test_evaluator = val_evaluator
train_cfg = dict(max_iters=4, val_interval=4)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=6)]
default_hooks = dict(checkpoint=dict(interval=4))
# mmengine keeps visualizers by name: without one of its own, a second run in a process has the first one's folder.
visualizer = dict(name='{folder}')
"""


def write_config(folder: Path, data: Path, extra: str = '') -> Path:
    """Write the config, with ``extra`` lines at its end."""
    config = folder / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT.as_posix(), folder=folder.as_posix(), data=data.as_posix()) + extra)
    return config


def train(config: Path, **options):
    """Train in this process; ``options`` change the config, with ``__`` for the dot. Returns the runner."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    name_run(cfg)
    runner = build_runner(cfg)
    runner.train()
    return runner


def name_run(cfg: Config) -> None:
    """Give a run names of its own: mmengine keeps visualizers and logged values by name, and names a run by the second
    in which it starts."""
    cfg.visualizer.name = cfg.work_dir
    cfg.experiment_name = uuid.uuid4().hex


class TinyRun(NamedTuple):
    """Paths of a config, of the checkpoint that training with it left, and of a folder of four images 64 x 96."""

    config: Path
    checkpoint: Path
    images: Path


# Images are enlarged, so that results of another size than the network's are seen.
RESIZED = """
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(120, 120), keep_ratio=True),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='PackSegInputs'),
]
model['postprocessors']['panoptic'].update(score_thr=0.1)
val_dataloader.update(batch_size=1)
val_dataloader['dataset'].update(pipeline=test_pipeline)
val_evaluator = [dict(type='SemanticIoU')]
test_evaluator = val_evaluator
"""


def make_tiny_run(folder: Path, seed: int = 0) -> TinyRun:
    """Draw four images to test on, write a config that enlarges them, and train an iteration, from seeded weights."""
    generate_shapes(folder / 'shapes', num_train=2, num_val=4, size=(64, 96))
    config = write_config(folder, folder / 'shapes', RESIZED)
    train(config, train_cfg__max_iters=1, train_cfg__val_begin=2, randomness__seed=seed)
    return TinyRun(config, folder / 'work' / 'iter_1.pth', folder / 'shapes' / 'val')
