"""A tiny model trained for one iteration on a few drawn images: a real config, a real checkpoint."""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from mask2former.apis.cli import build_runner
from mask2former.datasets.shapes import generate_shapes

ROOT = Path(__file__).parents[1]
CONFIG = """
_base_ = '{root}/configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py'
data_root = '{folder}/shapes/'
work_dir = '{folder}/work'
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(120, 120), keep_ratio=True),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='PackSegInputs'),
]
model = dict(
    backbone=dict(init_cfg=None),
    pixel_decoder=dict(embed_dims=32, mask_dims=32, ffn_dims=32),
    head=dict(num_layers=1, num_queries=10, ffn_dims=32),
    criterion=dict(num_points=64),
    postprocessors=dict(panoptic=dict(score_thr=0.1, overlap_thr=0.1)))
train_cfg = dict(max_iters=1, val_begin=2)
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='SemanticIoU')]
test_evaluator = val_evaluator
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
"""


class TinyRun(NamedTuple):
    """Paths of a config, of the checkpoint that training with it left, and of a folder of four images 64 x 96."""

    config: Path
    checkpoint: Path
    images: Path


def make_tiny_run(folder: Path) -> TinyRun:
    """Draw the data, write the config and train."""
    generate_shapes(folder / 'shapes', num_train=2, num_val=4, size=(64, 96))
    config = folder / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT.as_posix(), folder=folder.as_posix()))
    runner = build_runner(Config.fromfile(config))
    runner.train()
    checkpoint = Path((folder / 'work' / 'last_checkpoint').read_text())
    return TinyRun(config, checkpoint, folder / 'shapes' / 'val')
