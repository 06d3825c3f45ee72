"""A checkpoint of other classes: everything but the classifier, and its rows of equal names by option."""

import pytest
import torch
from mmengine.config import Config

from mask2former.checkpoints.class_transfer import CLASSIFIER, transfer_classes
from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.write import write_checkpoint
from mask2former.engine import SegRunner
from mask2former.errors import CheckpointError
from tests.tiny import make_tiny_run

THEIRS, OURS = ('cat', 'dog', 'sky'), ('sky', 'bird', 'cat', 'fish')


def classifier(rows: int, start: float) -> dict[str, torch.Tensor]:
    numbers = torch.arange(rows, dtype=torch.float32) + start
    return {
        'head.class_embed.weight': numbers[:, None].expand(rows, 2).clone(),
        'head.class_embed.bias': numbers,
        'head.norm.weight': torch.ones(2),
    }


def test_rows_of_equal_names_are_copied():
    state = classifier(4, 100)
    table = transfer_classes(state, classifier(5, 0), THEIRS, OURS, copy_equal=True)
    # sky, bird, cat, fish, no-object
    assert state['head.class_embed.bias'].tolist() == [102, 1, 100, 3, 103]
    assert state['head.class_embed.weight'][:, 1].tolist() == [102, 1, 100, 3, 103]
    lines = [line.split() for line in table.splitlines()]
    assert ['sky', 'yes'] in lines and ['no-object', 'yes'] in lines and ['bird', 'no,', 'from', 'scratch'] in lines


def test_without_the_option_all_rows_stay():
    state = classifier(4, 100)
    table = transfer_classes(state, classifier(5, 0), THEIRS, OURS)
    assert state['head.class_embed.bias'].tolist() == [0, 1, 2, 3, 4]
    assert 'classifier, 3 classes -> 4  no, from scratch' in table and '1 ' in table


def test_equal_classes_are_left_alone():
    for theirs in (OURS, None):
        state = classifier(5, 100)
        assert transfer_classes(state, classifier(5, 0), theirs, OURS) is None
        assert state['head.class_embed.bias'][0] == 100


def test_as_many_other_classes_are_other_classes():
    state = classifier(5, 100)
    transfer_classes(state, classifier(5, 0), ('a', 'b', 'cat', 'd'), OURS, copy_equal=True)
    assert state['head.class_embed.bias'].tolist() == [0, 1, 102, 3, 104]


def test_other_spellings_are_the_same_classes():
    """As data sets, mmdet and transformers differ in them."""
    ours = ('traffic light', 'Wall-Other', 'tree')
    state = classifier(4, 100)
    assert transfer_classes(state, classifier(4, 0), ('Traffic-Light', 'wall_other', 'tree, plant'), ours) is None
    transfer_classes(state, classifier(4, 0), ('tree; wood', 'tree', 'traffic_light'), ours, copy_equal=True)
    assert state['head.class_embed.bias'].tolist() == [102, 1, 101, 103]


def test_rows_need_names():
    with pytest.raises(ValueError, match='does not say the names'):
        transfer_classes(classifier(4, 100), classifier(5, 0), None, OURS, copy_equal=True)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_tiny_run(tmp_path_factory.mktemp('run'))


def own_name(folder):
    """mmengine gives runs that begin in one second one name, and they share a log then."""
    return '_'.join(folder.parts[1:])


def start_from(run, folder, checkpoint, **options):
    """A training of no effect that starts from a checkpoint; returns the weights at its beginning and its log."""
    cfg = Config.fromfile(run.config)
    cfg.merge_from_dict(
        dict(
            load_from=str(checkpoint),
            work_dir=str(folder),
            experiment_name=own_name(folder),
            optim_wrapper=dict(optimizer=dict(lr=0.0)),
            default_hooks=dict(checkpoint=None),
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
            **options,
        )
    )
    runner = SegRunner.from_cfg(cfg)
    before = {name: runner.model.state_dict()[name].clone() for name in CLASSIFIER}
    runner.train()
    return runner.model.state_dict(), before, next(folder.rglob('*.log')).read_text()


def with_classes(run, path, **change):
    """The run's checkpoint with two classes less and other names."""
    content = torch.load(run.checkpoint, weights_only=True)
    data = content['meta']['dataset_meta']
    classes = list(data['classes'])[:-2]
    classes[0], classes[1] = 'zebra', classes[0]
    for name in CLASSIFIER:
        content['state_dict'][name] = content['state_dict'][name][2:] + 1
    content['meta']['dataset_meta'] = dict(data, classes=tuple(classes), isthing=data['isthing'][:-2])
    torch.save(dict(content, **change), path)
    return content['state_dict'], classes, data['classes']


def test_a_training_starts_from_other_classes(run, tmp_path):
    theirs, _, _ = with_classes(run, tmp_path / 'other.pth')
    after, before, log = start_from(run, tmp_path / 'work', tmp_path / 'other.pth')
    for name in CLASSIFIER:
        torch.testing.assert_close(after[name], before[name])
    others = [name for name in theirs if name not in CLASSIFIER and 'running' not in name and 'tracked' not in name]
    assert all(torch.equal(after[name], theirs[name]) for name in others)
    assert 'only a part is loaded' in log and 'no, from scratch' in log


def test_a_training_copies_the_rows_of_equal_names(run, tmp_path):
    theirs, classes, ours = with_classes(run, tmp_path / 'other.pth')
    after, before, log = start_from(run, tmp_path / 'work', tmp_path / 'other.pth', load_equal_classes=True)
    for name in CLASSIFIER:
        for row, label in enumerate((*ours, 'no-object')):
            source = len(classes) if label == 'no-object' else classes.index(label) if label in classes else None
            expected = before[name][row] if source is None else theirs[name][source]
            torch.testing.assert_close(after[name][row], expected)
    assert 'rows of equal names' in log and f'{ours[0]} ' in log


def test_rows_without_names_are_refused_with_the_file(run, tmp_path):
    with_classes(run, tmp_path / 'other.pth', meta={})
    with pytest.raises(CheckpointError, match="other.pth' does not say the names of its classes, so that"):
        start_from(run, tmp_path / 'work', tmp_path / 'other.pth', load_equal_classes=True)


def test_a_training_and_a_test_start_from_another_format(run, tmp_path):
    """load_from, through the runner."""
    checkpoint = read_checkpoint(run.checkpoint)
    path = tmp_path / 'a.pth'
    write_checkpoint(checkpoint, path, 'mmdet')
    after, _, log = start_from(run, tmp_path / 'work', path)
    trained = [name for name in after if 'running' not in name and 'tracked' not in name]
    assert all(torch.equal(after[name], checkpoint.state[name]) for name in trained)
    assert 'only a part' not in log
    assert run_test(run.config, path, tmp_path / 'theirs') == run_test(run.config, run.checkpoint, tmp_path / 'ours')


def run_test(config, checkpoint, folder):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(load_from=str(checkpoint), work_dir=str(folder), experiment_name=own_name(folder)))
    return SegRunner.from_cfg(cfg).test()
