"""A tiny model on tiny drawn images: a config for the tools, and ways to run them."""

import importlib.util
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

from mmengine.config import Config

from mask2former.apis.cli import build_runner

ROOT = Path(__file__).resolve().parents[2]
# One encoder layer: with more, these untrained weights are so sensitive that a change of 1e-14 flips a discrete choice
# (a point, a mask's edge) and with it the fourth digit of the loss, and trainings can no longer be compared exactly.
CONFIG = """
_base_ = '{root}/configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py'
work_dir = '{folder}/work'
model = dict(
    backbone=dict(init_cfg=None),
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


def load_tool(name: str):
    """The module ``tools/NAME.py``."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tool_env(**extra: str) -> dict[str, str]:
    """The environment of a tool that runs as a process."""
    return dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', **extra)


def run_script(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    """Run a script in an own process."""
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=tool_env(**env), capture_output=True, text=True, timeout=300
    )


def free_port() -> str:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])
