"""A training starts from a checkpoint of other classes or of another format, which ``load_from`` names."""

import pytest
import torch
from mmengine.config import Config

from mask2former.checkpoints.class_transfer import CLASSIFIER
from mask2former.checkpoints.convert import convert_raw, read_checkpoint, to_format
from mask2former.checkpoints.read import RawCheckpoint
from mask2former.checkpoints.write import write_checkpoint
from mask2former.engine import SegRunner
from mask2former.errors import CheckpointError
from mask2former.registry import MODELS
from tests.test_models.test_maskformer.small import small_config


@pytest.fixture(scope='module')
def run(tiny_run):
    return tiny_run


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


def test_a_training_copies_the_rows_of_equal_names(run, tmp_path, capfd):
    theirs, classes, ours = with_classes(run, tmp_path / 'other.pth')
    means = [dict(type='EMAHook')]  # which load the checkpoint, too
    after, before, log = start_from(
        run, tmp_path / 'work', tmp_path / 'other.pth', load_equal_classes=True, custom_hooks=means
    )
    for name in CLASSIFIER:
        for row, label in enumerate((*ours, 'no-object')):
            source = len(classes) if label == 'no-object' else classes.index(label) if label in classes else None
            expected = before[name][row] if source is None else theirs[name][source]
            torch.testing.assert_close(after[name][row], expected)
    assert 'rows of equal names' in log and f'{ours[0]} ' in log
    assert_no_lists(capfd, tmp_path)


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


def test_a_maskformer_starts_from_the_reference_s_old_names(run, tmp_path):
    model = small_config('resnet') | dict(metainfo=None, _delete_=True)
    source = MODELS.build(small_config('resnet') | dict(metainfo=run_metainfo(run)))
    checkpoint = convert_raw(RawCheckpoint(dict(source.state_dict()), {}, {}), 'source')
    state, _ = to_format(checkpoint, 'detectron2')
    state = {name.replace('sem_seg_head.pixel_decoder.', 'sem_seg_head.'): value for name, value in state.items()}
    torch.save(dict(model=state), tmp_path / 'model_final.pth')
    after, _, log = start_from(run, tmp_path / 'work', tmp_path / 'model_final.pth', model=model)
    trained = [name for name in after if 'running' not in name and 'tracked' not in name]
    assert all(torch.equal(after[name], checkpoint.state[name]) for name in trained)
    assert 'head.query_feat.weight' not in after and 'only a part' not in log


@pytest.mark.parametrize(
    ('training', 'said'), [(False, 'does not fit the model'), (True, 'holds weights but no state of a training')]
)
def test_of_another_model_s_checkpoint_one_sentence_is_said(training, said, run, tmp_path, capfd):
    """And no list of the names of all weights, as mmengine prints it."""
    other = MODELS.build(small_config('resnet') | dict(metainfo=run_metainfo(run)))
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError) as error:
        if training:
            start_from(
                run, tmp_path / 'work', tmp_path / 'other.pth', model=dict(head=dict(num_queries=7)), resume=True
            )
        else:
            run_test(run.config, tmp_path / 'other.pth', tmp_path / 'work')
    assert said in str(error.value) and '\n' not in str(error.value)
    assert_no_lists(capfd, tmp_path)


def test_what_is_loaded_in_part_is_said_in_a_sentence(run, tmp_path, capfd):
    state = torch.load(run.checkpoint)['state_dict']
    absent = next(name for name in state if name.startswith('pixel_decoder') and name.endswith('weight'))
    part = {f'module.{name}': value for name, value in state.items() if name != absent}
    torch.save(dict(state_dict=part), tmp_path / 'part.pth')
    log = start_from(run, tmp_path / 'part', tmp_path / 'part.pth')[2]
    assert "part.pth' only a part is loaded: 1 of the model's" in log and f"('{absent}' is absent)" in log
    torch.save(dict(state_dict=state | {'old.weight': torch.zeros(2)}), tmp_path / 'more.pth')
    log = start_from(run, tmp_path / 'more', tmp_path / 'more.pth')[2]
    assert "more.pth' has 1 weights more, such as 'old.weight', which are not loaded." in log
    assert_no_lists(capfd, tmp_path)


def assert_no_lists(capfd, folder):
    texts = [*capfd.readouterr(), *(path.read_text() for path in folder.rglob('*.log'))]
    assert len(texts) > 2
    for text in texts:
        assert 'state dict do not match' not in text and 'in source state_dict' not in text


def run_metainfo(run):
    """Classes of the run's data set."""
    data = torch.load(run.checkpoint, weights_only=True)['meta']['dataset_meta']
    return dict(classes=data['classes'], isthing=data['isthing'])


def run_test(config, checkpoint, folder):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(load_from=str(checkpoint), work_dir=str(folder), experiment_name=own_name(folder)))
    return SegRunner.from_cfg(cfg).test()
