"""Masked attention fades with the iterations, and goes on where a resumed training was."""

import pytest
import torch

from mask2former.engine import MaskAnnealingHook
from mask2former.errors import ConfigError
from tests.tiny import train, write_config


def test_probability():
    """1 before the start, 0 from the end on, (1 - progress)^0.9 between (training/lightning_module.py of EoMT)."""
    hook = MaskAnnealingHook([10], [20])
    values = [hook.probability(done, 10, 20) for done in (0, 10, 15, 20, 30)]
    assert values == pytest.approx([1, 1, 0.5**0.9, 0, 0])


@pytest.mark.parametrize(('starts', 'ends'), [([1, 2], [3]), ([3], [3])])
def test_wrong_pairs_are_named(starts, ends):
    with pytest.raises(ConfigError, match='an end after each start'):
        MaskAnnealingHook(starts, ends)


def config_of(folder, data, **hook):
    """The tiny config with an EoMT of three blocks, of which two have queries."""
    text = write_config(folder, data).read_text()
    text = text.replace('mask2former_efficientnet-lite0_shapes', 'eomt_vit-ti_shapes')
    text = '\n'.join(line for line in text.splitlines() if 'pixel_decoder=' not in line)
    text = text.replace('init_cfg=None, frozen_stages=-1', 'embed_dims=32, num_layers=1, num_heads=2, ffn_dims=32')
    text = text.replace('head=dict(num_layers=1', 'head=dict(num_blocks=2')
    path = folder / 'eomt.py'
    path.write_text(text + f'\ncustom_hooks = [dict(type="MaskAnnealingHook", **{hook})]\n')
    return path


def test_training_and_resuming(tmp_path, shapes):
    config = config_of(tmp_path, shapes, starts=[1, 2], ends=[3, 9])
    runner = train(config, train_cfg__max_iters=2, train_cfg__val_interval=2, default_hooks__checkpoint__interval=2)
    assert runner.model.head.mask_probability.tolist() == pytest.approx([0.5**0.9, 1.0])
    saved = torch.load(tmp_path / 'work' / 'iter_2.pth', weights_only=True)['state_dict']['head.mask_probability']
    assert torch.equal(saved, runner.model.head.mask_probability)
    resumed = train(config, resume=True, train_cfg__max_iters=4, train_cfg__val_interval=4)
    assert resumed.model.head.mask_probability.tolist() == pytest.approx([0.0, (5 / 7) ** 0.9])


def test_steps_are_counted_where_gradients_are_accumulated(tmp_path, shapes):
    """As Lightning's ``global_step``, which the reference takes: after five iterations of two a step, two are done."""
    config = config_of(tmp_path, shapes, starts=[1, 2], ends=[3, 9])
    options = dict(optim_wrapper__accumulative_counts=2, default_hooks__checkpoint__interval=9)
    options |= dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    for iterations, expected in ((1, 1.0), (3, 1.0), (5, 0.5**0.9)):
        folder = tmp_path / str(iterations)
        runner = train(config, work_dir=str(folder), train_cfg__max_iters=iterations, **options)
        assert runner.model.head.mask_probability.tolist() == pytest.approx([expected, 1.0])
    assert 'until step 9, but the training ends after 2' in next(folder.rglob('*.log')).read_text()


def test_another_number_of_blocks_is_named(tmp_path, shapes):
    config = config_of(tmp_path, shapes, starts=[1], ends=[3])
    with pytest.raises(ConfigError, match='1 starts and ends, but the model has 2 blocks'):
        train(config)
