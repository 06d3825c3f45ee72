"""A resumed run goes on as if it had never been interrupted; checkpoints that cannot be used are named."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import IterBasedTrainLoop

from mask2former.engine import SegIterTrainLoop, SegRunner
from mask2former.engine.random_numbers import seed_generators
from mask2former.errors import CheckpointError
from mask2former.registry import DATASETS
from tests.tiny import train


@DATASETS.register_module()
class NumberedImages(torch.utils.data.Dataset):
    """Images that are their own number, and a list of those that were loaded in this process."""

    metainfo = dict(classes=('thing',), isthing=(True,))

    def __init__(self) -> None:
        self.loaded = []

    def __len__(self) -> int:
        return 11

    def get_data_info(self, index: int) -> dict:
        return dict(width=10 + index % 3, height=11)  # a third of them upright

    def __getitem__(self, index: int) -> dict:
        self.loaded.append(index)
        return dict(index=index, random=np.random.randint(1 << 30))


class FakeRunner:
    """What a loop needs of a runner, and a list of the batches that it is given."""

    seed = 7
    val_loop = None
    _randomness_cfg = dict(diff_rank_seed=False)

    def __init__(self) -> None:
        self.visualizer = self
        self.model = self
        self.optim_wrapper = None
        self.seen = []

    def build_dataloader(self, config: dict, seed: int, diff_rank_seed: bool) -> torch.utils.data.DataLoader:
        return SegRunner.build_dataloader(self, config, seed, diff_rank_seed)

    def train(self) -> None:
        pass

    def call_hook(self, name: str, **kwargs) -> None:
        pass

    def train_step(self, batch: dict, optim_wrapper) -> None:
        self.seen.append((batch['index'], batch['random']))


def batches_of(
    loop: type[IterBasedTrainLoop],
    start: int,
    stop: int,
    num_workers: int = 0,
    sampler: str = 'InfiniteSampler',
    batch_sampler: str | None = None,
) -> tuple[list[list[int]], list[int], list[list[int]]]:
    """The images of each iteration from ``start`` on, those that were loaded, and the random numbers beside them."""
    runner = FakeRunner()
    loop = loop(
        runner,
        dict(
            dataset=dict(type='NumberedImages', _scope_='mask2former'),
            sampler=dict(type=sampler, shuffle=True),
            **(dict(batch_sampler=dict(type=batch_sampler, _scope_='mmdet')) if batch_sampler else {}),
            batch_size=2,
            num_workers=num_workers,
        ),
        max_iters=stop,
        val_interval=1000,
    )
    loop._iter = start
    loop.run()
    images, numbers = zip(*runner.seen)
    return list(images), loop.dataloader.dataset.loaded, list(numbers)


def test_a_resumed_loop_shows_the_images_in_the_order_of_an_uninterrupted_one():
    uninterrupted, _, _ = batches_of(SegIterTrainLoop, 0, 20)
    assert len({tuple(images) for images in uninterrupted}) > 10
    resumed, loaded, _ = batches_of(SegIterTrainLoop, 13, 20)
    assert resumed == uninterrupted[13:]
    assert loaded == sum(uninterrupted[13:], [])  # not one image more
    by_mmengine, loaded, _ = batches_of(IterBasedTrainLoop, 13, 20)
    assert resumed == by_mmengine
    assert len(loaded) > 2 * 13  # mmengine's loop still needs what ours is for


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
@pytest.mark.parametrize('batch_sampler', [None, 'AspectRatioBatchSampler'])
def test_augmentation_depends_on_the_image_s_place_and_not_on_who_loads_it(sampler, batch_sampler):
    options = dict(sampler=sampler, batch_sampler=batch_sampler)
    stop = 5 if sampler == 'DefaultSampler' else 8  # with 11 images the second is another epoch
    images, _, numbers = batches_of(SegIterTrainLoop, 0, stop, **options)
    assert len(set(sum(numbers, []))) == 2 * stop
    for num_workers in (1, 2):
        loaded, _, drawn = batches_of(SegIterTrainLoop, 0, stop, num_workers, **options)
        assert loaded == images and drawn == numbers
        resumed, _, drawn = batches_of(SegIterTrainLoop, 3, stop, num_workers, **options)
        assert resumed == images[3:] and drawn == numbers[3:]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_batches_of_one_aspect_ratio_are_chosen_again_and_not_loaded(num_workers):
    options = dict(num_workers=num_workers, batch_sampler='AspectRatioBatchSampler')
    uninterrupted, _, _ = batches_of(SegIterTrainLoop, 0, 20, **options)
    assert all(a % 3 == b % 3 == 0 or (a % 3 and b % 3) for a, b in np.array(uninterrupted).tolist())
    resumed, loaded, _ = batches_of(SegIterTrainLoop, 13, 20, **options)
    assert resumed == uninterrupted[13:]
    assert loaded == ([] if num_workers else sum(np.array(resumed).tolist(), []))
    assert uninterrupted != batches_of(SegIterTrainLoop, 0, 20)[0]


def test_another_sampler_is_replayed():
    uninterrupted, _, _ = batches_of(SegIterTrainLoop, 0, 5, sampler='DefaultSampler')
    resumed, loaded, _ = batches_of(SegIterTrainLoop, 3, 5, sampler='DefaultSampler')
    assert resumed == uninterrupted[3:]
    assert len(loaded) == 2 * 5


def test_max_iters_must_be_a_number_of_iterations():
    with pytest.raises(ValueError, match='whole number of iterations from 1 on, not 2.5'):
        batches_of(SegIterTrainLoop, 0, 2.5)


def test_all_generators_are_seeded_by_all_numbers():
    def draw(*numbers: int) -> list[float]:
        seed_generators(*numbers)
        return [random.random(), np.random.rand(), np.random.randn(), torch.rand(()).item()]

    np.random.randn()  # leaves the second of two normal numbers for later: a part of the state
    drawn = draw(1, 2, 3)
    assert draw(1, 2, 3) == drawn
    for others in ((1, 2, 4), (1, 3, 2), (0, 2, 3), (2**40, 2, 3)):
        assert not set(draw(*others)) & set(drawn)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path)['state_dict']


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.skipif(torch.cuda.is_available(), reason='GPUs add in no fixed order; hide them (CUDA_VISIBLE_DEVICES=)')
def test_a_resumed_run_ends_with_the_same_bits(run, tmp_path):
    # No seed in the config: the order of the images must follow from the checkpoint.
    train(
        run.config,
        work_dir=str(tmp_path),
        train_cfg__max_iters=8,
        resume=True,
        load_from=str(run.half),
        default_hooks__checkpoint__save_best='PQ',
    )
    assert not differing(weights(tmp_path / 'iter_8.pth'), weights(run.full))
    half = weights(run.half)
    assert len(differing(half, weights(run.full))) > len(half) // 2
    ours, theirs = (torch.load(path) for path in (tmp_path / 'iter_8.pth', run.full))
    assert ours['param_schedulers'] == theirs['param_schedulers']
    assert ours['optimizer']['param_groups'] == theirs['optimizer']['param_groups']
    for number, state in theirs['optimizer']['state'].items():
        assert all(
            torch.equal(torch.as_tensor(value), torch.as_tensor(ours['optimizer']['state'][number][key]))
            for key, value in state.items()
        )
    losses = [saved['message_hub']['log_scalars']['train/loss'].data[0] for saved in (ours, theirs)]
    assert len(losses[0]) == 8
    assert np.array_equal(*losses)


def test_a_checkpoint_holds_only_what_is_allowed(run):
    for path in run.full.parent.glob('*.pth'):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    assert list(run.full.parent.glob('best_PQ_*.pth'))


@pytest.mark.parametrize('keep', [True, False])
def test_the_config_says_whether_freed_memory_is_kept(run, tmp_path, monkeypatch, keep):
    calls = []
    monkeypatch.setattr('mask2former.engine.runner.keep_freed_memory', lambda: calls.append(True))
    train(run.config, work_dir=str(tmp_path), train_cfg__max_iters=1, env_cfg__keep_freed_memory=keep)
    assert calls == [True] * keep


def test_resume_takes_the_last_checkpoint_even_where_the_folder_was_moved(run, tmp_path):
    shutil.copy(run.half, tmp_path / 'iter_4.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/work/iter_4.pth')
    runner = train(run.config, work_dir=str(tmp_path), train_cfg__max_iters=4, resume=True)
    assert runner.iter == 4
    assert not differing({k: v.cpu() for k, v in runner.model.state_dict().items()}, weights(run.half))


def test_resume_names_a_last_checkpoint_that_is_gone(run, tmp_path):
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/work/iter_4.pth')
    with pytest.raises(FileNotFoundError, match="There is no checkpoint '/elsewhere/work/iter_4.pth'"):
        train(run.config, work_dir=str(tmp_path), resume=True)


def test_a_resumed_training_does_without_the_weights_that_it_began_with(run, tmp_path):
    absent = dict(_delete_=True, type='Pretrained', checkpoint=str(tmp_path / 'absent.pth'))
    options = dict(work_dir=str(tmp_path / 'work'), resume=True, model__backbone__init_cfg=absent)
    with pytest.raises(FileNotFoundError, match='absent.pth'):  # there is nothing to resume yet
        train(run.config, **options, train_cfg__max_iters=5)
    shutil.copy(run.half, tmp_path / 'work' / 'iter_4.pth')
    runner = train(run.config, **options, train_cfg__max_iters=4)
    assert not differing({k: v.cpu() for k, v in runner.model.state_dict().items()}, weights(run.half))


def test_another_number_of_images_is_said_when_a_training_is_resumed(run, tmp_path):
    logs = []
    for size in (1, 2):  # the checkpoint's is 2
        work = tmp_path / str(size)
        train(
            run.config,
            work_dir=str(work),
            resume=True,
            load_from=str(run.half),
            train_cfg__max_iters=5,
            train_cfg__val_begin=9,
            train_dataloader__batch_size=size,
        )
        logs.append(next(work.rglob('*.log')).read_text())
    assert 'An iteration had 2 images and now has 1: training goes on after iteration 4 as if' in logs[0]
    assert 'An iteration had' not in logs[1]


def saved_with(path: Path, change, out: Path) -> Path:
    checkpoint = torch.load(path)
    change(checkpoint)
    torch.save(checkpoint, out)
    return out


def other_classes(checkpoint: dict) -> None:
    state = checkpoint['state_dict']
    for name in ('head.class_embed.weight', 'head.class_embed.bias'):
        state[name] = torch.cat((state[name], state[name]))


def test_a_checkpoint_of_other_classes_is_not_resumed(run, tmp_path):
    path = saved_with(run.half, other_classes, tmp_path / 'other.pth')
    K = len(torch.load(run.half)['state_dict']['head.class_embed.bias']) - 1
    with pytest.raises(
        CheckpointError,
        match=rf"other.pth' does not fit the model: it has {2 * K + 1} classes, the "
        f'model {K}; give the config',
    ):
        train(run.config, work_dir=str(tmp_path / 'work'), resume=True, load_from=str(path))


def test_training_may_start_from_other_classes(run, tmp_path):
    path = saved_with(run.half, other_classes, tmp_path / 'other.pth')
    runner = train(
        run.config,
        work_dir=str(tmp_path / 'work'),
        load_from=str(path),
        train_cfg__max_iters=1,
        optim_wrapper__optimizer__lr=0.0,
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
    )
    log = next((tmp_path / 'work').rglob('*.log')).read_text()
    assert 'only a part is loaded: it has' in log
    assert differing({k: v.cpu() for k, v in runner.model.state_dict().items()}, weights(run.half)) == [
        'head.class_embed.weight',
        'head.class_embed.bias',
    ]


def test_nothing_that_fits_is_an_error_even_to_start_from(run, tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.zeros(2))), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r"(\d+) of the model's \1 weights are not in it"):
        train(run.config, work_dir=str(tmp_path / 'work'), load_from=str(tmp_path / 'other.pth'))


def test_weights_alone_are_not_resumed(run, tmp_path):
    path = saved_with(run.half, lambda checkpoint: checkpoint.pop('optimizer'), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='no state of a training, so it cannot be resumed: start from it with'):
        train(run.config, work_dir=str(tmp_path / 'work'), resume=True, load_from=str(path))


class Malicious:
    """Unpickled, it runs a command."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f'touch {self.file}',)


def test_the_config_in_an_old_checkpoint_is_not_run(run, tmp_path):
    code = f"open({str(tmp_path / 'touched')!r}, 'w')"
    path = saved_with(run.half, lambda checkpoint: checkpoint['meta'].update(config=code), tmp_path / 'iter_4.pth')
    train(run.config, work_dir=str(tmp_path / 'work'), train_cfg__max_iters=4, resume=True, load_from=str(path))
    assert not (tmp_path / 'touched').exists()


def write_malicious(path: Path) -> None:
    torch.save(dict(state_dict={}, code=Malicious(path.with_suffix('.touched'))), path)


@pytest.mark.parametrize(
    ('write', 'sentence'),
    [
        (
            write_malicious,
            r"bad.pth' is not loaded, because it holds more than weights and plain values \(posix.system\)",
        ),
        (lambda path: path.write_text('<html>not found</html>'), "bad.pth' is no checkpoint or is damaged"),
        (lambda path: path.touch(), "bad.pth' is no checkpoint or is damaged"),
        (lambda path: path.write_bytes(b'PK\x03\x04' + bytes(1000)), "bad.pth' is no checkpoint or is damaged"),
    ],
)
def test_a_bad_checkpoint_is_refused_with_its_name(run, tmp_path, write, sentence):
    write(tmp_path / 'bad.pth')
    with pytest.raises(CheckpointError, match=sentence):
        train(run.config, work_dir=str(tmp_path / 'work'), resume=True, load_from=str(tmp_path / 'bad.pth'))
    assert not (tmp_path / 'bad.touched').exists()
