"""Models and pipelines are built of configs and checkpoints; what does not fit is named."""

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config

from mask2former.apis import SegInferencer, init_model
from mask2former.apis.build import build_test_pipeline
from mask2former.datasets.metainfo import KEYS
from mask2former.errors import CheckpointError
from mask2former.registry import TRANSFORMS
from tests.tiny import ROOT


def without_data(run):
    """The config, with its data set away."""
    config = Config.fromfile(run.config)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        config[key].dataset.data_root = 'nowhere/'
    return config


def change_checkpoint(run, path, change):
    """A copy of the checkpoint after ``change(checkpoint)``."""
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return path


def test_classes_come_from_the_checkpoint(run, inferencer):
    """mmengine's hook writes all of the metainfo, and it can be read without running code."""
    model = init_model(without_data(run), run.checkpoint, 'cpu')
    stored = torch.load(run.checkpoint, weights_only=True)['meta']['dataset_meta']
    assert set(stored) == set(KEYS) and model.dataset_meta == stored == inferencer.dataset_meta
    assert not model.training and model.classes == stored['classes'] and model.isthing == stored['isthing']
    assert all(torch.equal(value, inferencer.model.state_dict()[key]) for key, value in model.state_dict().items())


def test_classes_come_from_the_config_else(run, inferencer, tmp_path):
    bare = change_checkpoint(run, tmp_path / 'bare.pth', lambda c: c.pop('meta'))
    assert init_model(run.config, bare, 'cpu').dataset_meta == inferencer.dataset_meta
    assert init_model(run.config, device='cpu').dataset_meta == inferencer.dataset_meta
    with pytest.raises(ValueError, match="bare.pth' does not say them.*nowhere"):
        init_model(without_data(run), bare)
    with pytest.raises(ValueError, match='there is no checkpoint'):
        init_model(without_data(run))


def test_checkpoint_of_other_classes_is_refused(run, tmp_path):
    other = change_checkpoint(
        run, tmp_path / 'other.pth', lambda c: c['meta'].update(dataset_meta=dict(classes=('a', 'b'), isthing=(1, 0)))
    )
    with pytest.raises(ValueError, match="other.pth' has 2 classes, but the data set of the config .* has 9"):
        init_model(run.config, other)


def test_checkpoint_that_does_not_fit_is_refused(run, tmp_path):
    config = Config.fromfile(run.config)
    config.model.head.num_layers = 2
    with pytest.raises(ValueError, match='does not fit the model: .*head.* is absent'):
        init_model(config, run.checkpoint)
    config.model.head.num_layers = 1
    config.model.head.num_queries = 7
    with pytest.raises(ValueError, match=r'has 10 queries, the model 7 \(head.num_queries\)'):
        init_model(config, run.checkpoint)
    more = change_checkpoint(run, tmp_path / 'more.pth', lambda c: c['state_dict'].update(extra=torch.zeros(1)))
    with pytest.raises(ValueError, match="such as 'extra'"):
        init_model(run.config, more)


def test_weights_of_a_wrapped_model_are_read(run, tmp_path):

    def wrap(checkpoint):
        checkpoint['state_dict'] = {f'module.{key}': value for key, value in checkpoint['state_dict'].items()}

    init_model(run.config, change_checkpoint(run, tmp_path / 'wrapped.pth', wrap))


def test_files_that_are_no_checkpoints(run, tmp_path):
    torch.save(dict(state_dict=dict(a=Config())), tmp_path / 'code.pth')
    whole = run.checkpoint.read_bytes()
    (tmp_path / 'torn.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'text.pth').write_text('not a checkpoint')
    for name, said in (('code', 'could run code'), ('torn', 'is damaged'), ('text', 'is no checkpoint')):
        with pytest.raises(CheckpointError, match=f"{name}.pth' .*{said}"):
            init_model(run.config, tmp_path / f'{name}.pth')
    torch.save(dict(epoch=1), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='holds no weights'):
        init_model(run.config, tmp_path / 'empty.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        init_model(run.config, tmp_path / 'absent.pth')
    with pytest.raises(FileNotFoundError, match='no config'):
        init_model(tmp_path / 'absent.py')


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_no_annotations_are_read_of_an_image_alone(task):
    pipeline = Config.fromfile(ROOT / 'configs' / '_base_' / 'tasks' / f'{task}.py')
    config = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[*pipeline.test_load, *pipeline.test_pack]))))
    load, rest = build_test_pipeline(config)
    assert [type(transform).__name__ for transform in (load, *rest)] == ['LoadImage', 'PackSegInputs']


def test_pipelines(run, inferencer):
    """A transform that says that it reads annotations is left out; one without an image is refused."""

    @TRANSFORMS.register_module(name='ReadsOwnAnnotations', force=True)
    class ReadsOwnAnnotations(BaseTransform):
        reads_annotations = True

        def transform(self, results):
            raise AssertionError

    config = Config.fromfile(run.config)
    for transform in (dict(type='ReadsOwnAnnotations'), dict(type='LoadSemanticGroundTruth')):
        config.test_dataloader.dataset.pipeline.insert(1, transform)
    names = [type(transform).__name__ for transform in SegInferencer(config, run.checkpoint).transforms]
    assert names == ['Resize', 'PackSegInputs']

    config.test_dataloader.dataset.pipeline = [dict(type='PackSegInputs')]
    with pytest.raises(ValueError, match='begins with PackSegInputs'):
        SegInferencer(config, run.checkpoint)
    config.pop('test_dataloader')
    with pytest.raises(ValueError, match='no test_dataloader'):
        SegInferencer(config, run.checkpoint)
    with pytest.raises(ValueError, match="^Test-time augmentation: the config's test_dataloader has no dataset"):
        SegInferencer(config, run.checkpoint, tta=True)
