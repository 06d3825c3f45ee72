"""Peak memory and speed of tracking in long videos: the whole video at once, in windows, and frame by frame.

    python -m benchmarks.long_videos CONFIG --frames 30 100 1000 --tracking whole windows online

Each line is a process of its own, whose peak memory (all of the process, with Python and torch) is that of the run.
Frames are noise that is made when it is asked for, the weights are random, and ten masks of each frame are encoded.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.config import Config

from mask2former.apis import FrameTracker
from mask2former.apis.build import scope_of
from mask2former.registry import MODELS

READ = [dict(type='SampleFrames', num_frames=None), dict(type='LoadFrames'), dict(type='PackClipInputs')]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a config of videos')
    parser.add_argument('--frames', type=int, nargs='+', default=[30], help='lengths of the videos')
    parser.add_argument('--tracking', nargs='+', default=['whole', 'windows', 'online'])
    parser.add_argument('--size', type=int, nargs=2, default=[480, 864], metavar=('H', 'W'))
    parser.add_argument('--classes', type=int, default=40)
    parser.add_argument('--half-features', action='store_true', help='keep mask features in half precision')
    parser.add_argument('--frames-at-once', type=int, help='frames that go through the backbone together')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--one', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.one:
        print(json.dumps(measure(args)))
        return
    print('| tracking | frames | peak memory, GiB | seconds | frames/s |\n|---|---|---|---|---|', flush=True)
    for frames in args.frames:
        for tracking in args.tracking:
            command = [sys.executable, '-m', 'benchmarks.long_videos', args.config, '--one', '--device', args.device]
            command += ['--frames', str(frames), '--tracking', tracking, '--classes', str(args.classes)]
            command += ['--frames-at-once', str(args.frames_at_once)] if args.frames_at_once else []
            command += ['--size', *map(str, args.size), *['--half-features'] * args.half_features]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if run.returncode:
                print(f'| {tracking} | {frames} | ended with {run.returncode} | | |', flush=True)
                continue
            found = json.loads(run.stdout.splitlines()[-1])
            memory, seconds = found['memory'], found['seconds']
            print(f'| {tracking} | {frames} | {memory:.2f} | {seconds:.0f} | {frames / seconds:.2f} |', flush=True)


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Track in one video: ``memory`` in GiB and ``seconds``."""
    cfg = Config.fromfile(args.config)
    cfg.model.backbone.init_cfg = None
    cfg.model.half_features, cfg.model.frames_at_once = args.half_features, args.frames_at_once
    cfg.test_dataloader.dataset.pipeline = READ
    torch.manual_seed(0)
    metainfo = dict(classes=[str(label) for label in range(args.classes)], isthing=[True] * args.classes)
    with scope_of(cfg):
        model = MODELS.build(dict(cfg.model, metainfo=metainfo)).to(args.device).eval()
    model.cfg = cfg
    tracker = FrameTracker(model, tracking=args.tracking[0], score_thr=0.0, max_per_frame=10)
    begin = time.perf_counter()
    for _ in tracker(noise(args.frames[0], tuple(args.size))):
        pass
    seconds = time.perf_counter() - begin
    if args.device.startswith('cuda'):
        return dict(memory=torch.cuda.max_memory_allocated() / 2**30, seconds=seconds)
    return dict(memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, seconds=seconds)


def noise(length: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) of noise."""
    rng = np.random.default_rng(0)
    for _ in range(length):
        yield rng.integers(256, size=(*size, 3), dtype=np.uint8)


if __name__ == '__main__':
    main()
