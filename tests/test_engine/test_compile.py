"""``compile`` in the config and ``--compile``: each part is compiled once, whole, and computes the same."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from mask2former.engine import SegRunner
from mask2former.registry import MODELS
from tests.tiny import random_images, sample_of, tiny_config, train, write_config

PARTS = ('backbone', 'pixel_decoder', 'head')
NO_VAL = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def build(**changes):
    cfg = tiny_config(num_queries=15)
    cfg['backbone'] = dict(type='FrozenBNResNet', depth=18)
    for part, options in changes.items():
        cfg[part].update(options)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.double().train()


def compile_parts(model, **options):
    """As the runner does."""

    class Runner(SegRunner):
        def __init__(self):
            self.model, self.cfg = model, dict(compile=options)
            self.logger = torch._logging.getArtifactLogger(__name__, 'graph')

    Runner()._maybe_compile('train_step')
    return model


def batch(count, size=(64, 96)):
    """Two images, of which the first has so many segments."""
    generator = torch.Generator().manual_seed(count)
    masks = torch.rand(count, *size, generator=generator) > 0.5
    masks[:, 0, 0] = True
    return random_images(2, size).double(), [sample_of(masks), sample_of(masks[: count // 2], img_id=1)]


def loss_and_gradients(model, images, samples):
    torch.manual_seed(1)  # the criterion draws points
    model.zero_grad()
    loss = sum(model.loss(images, samples).values())
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize('changes', [{}, {part: dict(with_cp=True) for part in PARTS}], ids=['plain', 'with_cp'])
def test_numbers_of_segments_do_not_recompile(changes):
    counter = CompileCounterWithBackend('aot_eager')
    expected, model = build(**changes), compile_parts(build(**changes), backend=counter, fullgraph=True)
    assert list(model.state_dict()) == list(expected.state_dict())
    for count in (5, 0, 1, 12):
        mine, other = (loss_and_gradients(m, *batch(count)) for m in (model, expected))
        assert torch.allclose(mine[0], other[0], rtol=1e-9)
        assert mine[1].keys() == other[1].keys()
        for name, gradient in other[1].items():
            assert (mine[1][name] - gradient).abs().max() <= 1e-6 * gradient.abs().max() + 1e-12, name
    assert counter.frame_count == len(PARTS)


def test_sizes_of_images_recompile_once():
    """The second size makes the graphs dynamic, which all others share."""
    counter = CompileCounterWithBackend('eager')
    model = compile_parts(build(), backend=counter, fullgraph=True)
    for size in ((64, 96), (128, 160), (96, 192), (160, 64)):
        loss_and_gradients(model, *batch(2, size))
    assert counter.frame_count <= 2 * len(PARTS)


@pytest.mark.parametrize('options', [True, dict(backend='eager')], ids=str)
def test_by_config(shapes, tmp_path, monkeypatch, options):
    calls = []
    monkeypatch.setattr(torch.nn.Module, 'compile', lambda self, **kwargs: calls.append((type(self).__name__, kwargs)))
    runner = train(write_config(tmp_path, shapes), compile=options, train_cfg__max_iters=1, **NO_VAL)
    kwargs = {} if options is True else options
    assert calls == [(type(getattr(runner.model, part)).__name__, kwargs) for part in PARTS]


def test_training_compiled_equals_training(shapes, tmp_path):
    states = []
    for name, options in (('plain', False), ('compiled', dict(backend='eager'))):
        folder = tmp_path / name
        folder.mkdir()
        runner = train(write_config(folder, shapes), compile=options, train_cfg__max_iters=2, randomness__seed=0)
        states.append(torch.load(folder / 'work' / 'iter_2.pth')['state_dict'])
        compiled = [module for module in runner.model.modules() if module._compiled_call_impl is not None]
        assert compiled == ([getattr(runner.model, part) for part in PARTS] if options else [])
    assert states[0].keys() == states[1].keys()
    assert all(torch.allclose(states[0][name].double(), states[1][name].double(), atol=1e-3) for name in states[0])
