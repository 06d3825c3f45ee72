"""Whether the memory of a training grows: resident memory over its iterations, validations included.

    python -m benchmarks.training_memory --iterations 2000

A tiny model learns small images of `shapes` and is validated some times, with checkpoints as often. The slope is that
of a line through the second half of the values, in MiB a thousand iterations; its deviation says how sure it is.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask2former.apis.cli import run_tool
from mask2former.apis.run_config import build_runner
from mask2former.data_tools.shapes import generate_shapes

from .common import positive, resident_mib, write_json

CONFIG = Path(__file__).parent.parent / 'configs' / 'shapes' / 'mask2former_efficientnet-lite0_shapes-panoptic.py'
SIZE = 64, 96
TINY = {
    'model.backbone.init_cfg': None,
    'model.pixel_decoder.embed_dims': 32,
    'model.pixel_decoder.mask_dims': 32,
    'model.pixel_decoder.num_layers': 1,
    'model.pixel_decoder.num_heads': 2,
    'model.pixel_decoder.ffn_dims': 32,
    'model.head.num_layers': 1,
    'model.head.num_queries': 10,
    'model.head.num_heads': 2,
    'model.head.ffn_dims': 32,
    'model.criterion.num_points': 64,
    'train_dataloader.batch_size': 2,
    'default_hooks.checkpoint.max_keep_ckpts': 1,
}


class MemoryHook(Hook):
    """Notes and prints the resident memory of the process after every so many iterations, in MiB."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.resident: list[float] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Note it."""
        if self.every_n_train_iters(runner, self.interval):
            self.resident.append(resident_mib())
            print(f'after iteration {runner.iter + 1}: {self.resident[-1]:.0f} MiB', flush=True)


def main() -> None:
    """Train, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--iterations', type=positive, default=2000, help='of the training (default: 2000)')
    parser.add_argument('--validations', type=positive, default=10, help='during the training (default: 10)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the values')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate_shapes(Path(folder), num_train=32, num_val=8, size=SIZE)
        cfg = Config.fromfile(CONFIG)
        cfg.merge_from_dict(TINY)
        every = max(1, args.iterations // args.validations)
        cfg.merge_from_dict(
            {
                'work_dir': f'{folder}/work',
                'train_cfg.max_iters': args.iterations,
                'train_cfg.val_interval': every,
                'default_hooks.checkpoint.interval': every,
            }
        )
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.update(num_workers=0, persistent_workers=False)
            loader.dataset.data_root = f'{folder}/'
        hook = MemoryHook(max(1, args.iterations // 40))
        runner = build_runner(cfg)
        runner.register_hook(hook)
        runner.train()
    half = np.array(hook.resident[len(hook.resident) // 2 :])
    thousands = np.arange(len(half)) * hook.interval / 1000
    (slope, _), covariance = np.polyfit(thousands, half, 1, cov=True)
    print(f'slope of the second half: {slope:.2f} +- {covariance[0, 0] ** 0.5:.2f} MiB a thousand iterations')
    if args.json:
        write_json(args.json, dict(interval=hook.interval, resident=hook.resident, slope=float(slope)))


if __name__ == '__main__':
    run_tool(main)
