"""A process that holds one contestant of a benchmark and does what it reads from its standard input, a word a line.

``python -m benchmarks.worker NAME FOLDER``: NAME is ours or a peer; FOLDER holds ``spec.json`` and what the
words leave there. The words: ``prepare`` (ours only: write the weights for everybody, the inputs and the logits),
``check`` (compare the logits), ``step`` (one timed training step or prediction), ``profile`` (ours only). Each is
answered by one line of JSON.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

from mask2former.datasets.metainfo import dataset_metainfo
from mask2former.engine.allocator import keep_freed_memory
from mask2former.errors import user_sentence
from mask2former.registry import DATASETS

from .common import peak_mb, synchronize
from .contestants import Contestant, build_model, our_contestant, peer_contestant
from .peers import freeze_norms, load_weights, peer_weights
from .profile import profile_prediction, profile_training
from .synthetic import make_batch, make_confident, randomise

OURS = 'mask2former'


def batch_shapes(spec: dict) -> tuple[tuple[int, int], ...]:
    """The sizes of the padded input, the image in it and the original image."""
    h, w = spec['size']
    return (-(-h // 32) * 32, -(-w // 32) * 32), (h, w), tuple(spec['ori_size'] or (h, w))


class Worker:
    """One contestant.

    Args:
        name: 'mask2former', 'mmdet' or 'transformers'.
        folder: Where ``spec.json`` and the common files are.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.spec = json.loads((folder / 'spec.json').read_text())
        if self.spec['threads']:
            torch.set_num_threads(self.spec['threads'])
        self.device = torch.device(self.spec['device'])
        self.cfg = Config.fromfile(self.spec['config'])
        self.cfg.merge_from_dict(self.spec['cfg_options'])
        try:
            self.metainfo = dataset_metainfo(self.cfg.test_dataloader.dataset)
        except FileNotFoundError:  # a benchmark needs no data: classes by number do
            self.metainfo = dict(classes=[str(i) for i in range(133)], isthing=[i < 80 for i in range(133)])
        self.contestant: Contestant | None = None

    def batch(self) -> tuple[Tensor, list]:
        """The images and targets, the same in every process."""
        counts = [self.spec['segments']] * self.spec['batch_size']
        images, samples = make_batch(counts, *batch_shapes(self.spec), len(self.metainfo['classes']))
        return images.to(self.device), [sample.to(self.device) for sample in samples]

    def prepare(self) -> dict:
        """Make the weights of everybody, and the logits that everybody must reach."""
        torch.manual_seed(0)
        model = build_model(self.cfg.model, self.metainfo, self.spec['queries'], self.spec['outputs'])
        model.init_weights()
        randomise(model)
        images, _ = self.batch()
        model.eval().to(self.device)
        if self.spec['mode'] == 'predict':
            make_confident(model, images)
        with torch.no_grad():
            torch.save([x.cpu() for x in model(images, mode='tensor')], self.folder / 'logits.pt')
        state = {key: value.cpu() for key, value in model.state_dict().items()}
        for name in [OURS, *self.spec['peers']]:
            torch.save(state if name == OURS else peer_weights(name, state), self.folder / f'{name}.pt')
        return dict(parameters=sum(p.numel() for p in model.parameters()))

    def load(self) -> Contestant:
        """Build the contestant with the common weights."""
        spec, (images, samples) = self.spec, self.batch()
        # Mapped, so that the file's copy of the weights does not count as the process's memory.
        weights = torch.load(self.folder / f'{self.name}.pt', mmap=True, weights_only=True)
        if self.name == OURS:
            if spec['mode'] == 'train':
                keep_freed_memory()  # as SegIterTrainLoop does
            model = build_model(self.cfg.model, self.metainfo, spec['queries'], spec['outputs'])
            model.load_state_dict(weights)
            model.to(self.device)
            contestant = our_contestant(model, self.cfg, images, samples, spec['amp'])
        else:
            queries = spec['queries'] or self.cfg.model.head.num_queries
            contestant = peer_contestant(
                self.name, self.cfg.model, self.metainfo, queries, images, samples, spec['outputs'], spec['amp']
            )
            load_weights(self.name, contestant.model, weights)
        contestant.model.train(spec['mode'] == 'train')
        freeze_norms(contestant.model)
        if spec['compile']:
            contestant.model.compile()
        return contestant

    def check(self) -> dict:
        """How far the logits are from the common ones, relative to the largest: the median and the worst."""
        contestant = self.load()
        contestant.model.eval()
        with torch.no_grad():
            mine = contestant.logits()
        expected = torch.load(self.folder / 'logits.pt', weights_only=True)
        errors = torch.cat([((x.cpu().float() - y).abs() / y.abs().max()).flatten() for x, y in zip(mine, expected)])
        return dict(median=float(errors.median()), worst=float(errors.max()))

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
        self.contestant = self.contestant or self.load()
        images, samples = self.batch()
        model = self.contestant.model
        parts = self.data_seconds()
        if self.spec['mode'] == 'train':
            return dict(parts, **profile_training(model, images, samples, self.contestant.update))
        return dict(parts, **profile_prediction(model, images, samples))

    def data_seconds(self) -> dict[str, float]:
        """Seconds in which one process loads a batch of the config's data; nothing where the data is absent."""
        loader = self.cfg.train_dataloader if self.spec['mode'] == 'train' else self.cfg.test_dataloader
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
    worker = Worker(sys.argv[1], Path(sys.argv[2]))
    for line in sys.stdin:
        try:
            answer = getattr(worker, line.strip())()
        except Exception as error:
            answer = dict(error=user_sentence(error) or traceback.format_exc())
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()
