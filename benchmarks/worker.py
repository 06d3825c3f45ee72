"""A process that holds one contestant of a benchmark and does what it reads from its standard input, a word a line.

``python -m benchmarks.worker NAME FOLDER``: NAME is ours or a peer; FOLDER holds ``spec.json`` and what the
words leave there. The words: ``prepare`` (ours only: write the weights for everybody and their logits),
``check`` (compare the logits), ``step`` (one timed training step or prediction), ``profile`` and ``floor`` (ours only).
Each is answered by one line of JSON.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import torch
from mmengine.registry import DefaultScope

from mask2former.errors import user_sentence
from mask2former.models import Mask2Former
from mask2former.registry import DATASETS

from .common import allow_tf32, peak_mb, synchronize
from .contestants import Contestant
from .floor import OperationCounter, measure_peaks
from .profile import Meter, profile_prediction, profile_training
from .scene import OURS, Scene, logit_errors


class Worker:
    """One contestant.

    Args:
        name: 'mask2former', 'mmdet' or 'transformers'.
        folder: Where ``spec.json`` and the common files are.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.scene = Scene(json.loads((folder / 'spec.json').read_text()))
        self.spec, self.device = self.scene.spec, self.scene.device
        self.contestant: Contestant | None = None

    def prepare(self) -> dict:
        """Make the weights of everybody, and the logits that everybody must reach."""
        with allow_tf32(False):
            weights, logits = self.scene.common_weights()
        torch.save(logits, self.folder / 'logits.pt')
        for name in [OURS, *self.spec['peers']]:
            torch.save(self.scene.weights_of(name, weights), self.folder / f'{name}.pt')
        return {}

    def load(self) -> Contestant:
        """Build the contestant with the common weights."""
        # Mapped, so that the file's copy of the weights does not count as the process's memory.
        return self.scene.contestant(
            self.name, torch.load(self.folder / f'{self.name}.pt', mmap=True, weights_only=True)
        )

    def check(self) -> dict:
        """How far the logits are from the common ones, relative to the largest: the median and the worst."""
        contestant = self.load()
        contestant.model.eval()
        with torch.no_grad(), allow_tf32(False):
            found = contestant.logits()
        return logit_errors(found, torch.load(self.folder / 'logits.pt', weights_only=True))

    def step(self) -> dict:
        """One training step or prediction: its seconds, and the peak memory of the process so far in MB."""
        if self.contestant is None:
            self.contestant = self.load()
        run = self.contestant.train_step if self.spec['mode'] == 'train' else self.contestant.predict
        synchronize(self.device)
        start = time.perf_counter()
        run()
        synchronize(self.device)
        return dict(seconds=time.perf_counter() - start, peak_mb=peak_mb(self.device))

    def profile(self) -> dict:
        """Seconds of the parts of a training step or prediction of ours."""
        return dict(self.data_seconds(), **self.measure_parts())

    def floor(self) -> dict:
        """Seconds and operations by part of a training step or prediction of ours, and what the machine can do."""
        peaks = measure_peaks()
        seconds = self.measure_parts()
        with OperationCounter() as counter:
            operations = self.measure_parts(Meter(lambda: counter.total))
        return dict(peaks=peaks, seconds=seconds, operations=operations)

    def measure_parts(self, meter: Meter | None = None) -> dict[str, float]:
        """What the meter reads, by default seconds, of the parts of a training step or prediction of ours."""
        self.contestant = self.contestant or self.load()
        images, samples = self.scene.batch()
        model = self.contestant.model
        assert isinstance(model, Mask2Former)  # nobody else is asked
        if self.spec['mode'] == 'train':
            return profile_training(model, images, samples, self.contestant.update, meter)
        return profile_prediction(model, images, samples, meter)

    def data_seconds(self) -> dict[str, float]:
        """Seconds in which one process loads a batch of the config's data; nothing where the data is absent."""
        cfg = self.scene.cfg
        loader = cfg.train_dataloader if self.spec['mode'] == 'train' else cfg.test_dataloader
        try:
            with DefaultScope.overwrite_default_scope('mask2former'):
                dataset = DATASETS.build(loader.dataset)
                dataset.full_init()
        except FileNotFoundError:
            return {}
        start = time.perf_counter()
        for i in range(self.spec['batch_size']):
            dataset[i % len(dataset)]
        return dict(data=time.perf_counter() - start)


def main() -> None:
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # whatever else is printed must not get between the answers
    worker = None
    for line in sys.stdin:
        try:
            worker = worker or Worker(sys.argv[1], Path(sys.argv[2]))
            answer = getattr(worker, line.strip())()
        except Exception as error:
            answer = dict(error=user_sentence(error) or traceback.format_exc())
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()
