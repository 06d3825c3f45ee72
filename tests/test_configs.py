"""Every config builds through the runner, trains one iteration and validates, on data as its data set wants it."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope

from mask2former.datasets.shapes import generate_shapes
from mask2former.engine import SegRunner
from mask2former.registry import DATASETS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
LEAVES = [path for path in CONFIGS if '_base_' not in path.parts]
leaves = pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
SIDE = 64


def code_lines(path):
    lines = (line.strip() for line in path.read_text(encoding='utf-8').splitlines())
    return [line for line in lines if line and not line.startswith('#')]


def test_there_are_configs():
    assert len(LEAVES) >= 6 and len(CONFIGS) > len(LEAVES)


@leaves
def test_leaf_is_short_and_says_how_to_run_it(path):
    assert len(code_lines(path)) <= 15
    header = path.read_text(encoding='utf-8').split('_base_')[0]
    commands = dict(re.findall(r'^# (?:python tools/train\.py|bash tools/dist_train\.sh) (\S+)(.*)$', header, re.M))
    assert path.relative_to(ROOT).as_posix() in commands, 'the comment at the top lacks the command that trains it'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.relative_to(ROOT / 'configs').as_posix())
def test_number_of_classes_is_never_written(path):
    assert not [line for line in code_lines(path) if 'num_classes' in line or 'num_things' in line]


@leaves
def test_leaf_is_consistent(path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == 'mask2former' and cfg.runner_type == 'SegRunner'
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator
    assert cfg.train_dataloader.dataset.type == cfg.val_dataloader.dataset.type


# One iteration.


@pytest.fixture(scope='module')
def shapes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('shapes')
    generate_shapes(folder, num_train=2, num_val=2, size=(SIDE, 96))
    return folder


def translate(content, metainfo):
    """Give the categories of a drawn data set the names and ids of ``metainfo``, things to things, stuff to stuff."""
    if 'category_ids' not in metainfo:
        return content
    rows = list(zip(metainfo['category_ids'], metainfo['classes'], metainfo['isthing']))
    pools = {True: [row for row in rows if row[2]], False: [row for row in rows if not row[2]]}
    ids = {}
    for category in content['categories']:
        old = category['id']
        category['id'], category['name'], _ = pools[bool(category.get('isthing', 1))].pop(0)
        ids[old] = category['id']
    for annotation in content['annotations']:
        for segment in annotation.get('segments_info', [annotation]):
            segment['category_id'] = ids[segment['category_id']]
    return content


def write_annotations(shapes, kind, split, metainfo, path):
    content = json.loads((shapes / 'annotations' / f'{kind}_{split}.json').read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(translate(content, metainfo)))


def provide_data(cfg, shapes):
    """Write, below the working directory, the files that the data sets and metrics of a config name."""
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = dataloader.dataset
        split = 'train' if 'train' in dataset.ann_file else 'val'
        kind = 'panoptic' if 'seg' in dataset.data_prefix else 'instances'
        root, metainfo = Path(dataset.data_root), DATASETS.get(dataset.type).METAINFO
        write_annotations(shapes, kind, split, metainfo, root / dataset.ann_file)
        shutil.copytree(shapes / split, root / dataset.data_prefix.img, dirs_exist_ok=True)
        if kind == 'panoptic':
            shutil.copytree(
                shapes / 'annotations' / f'panoptic_{split}', root / dataset.data_prefix.seg, dirs_exist_ok=True)
    for metric in cfg.val_evaluator:
        if metric.get('ann_file'):
            write_annotations(shapes, 'instances', split, metainfo, Path(metric.ann_file))


def shrink(cfg, folder):
    """Small images, batches of two, few points, random weights; all the rest stays."""
    cfg.work_dir = str(folder / 'work')
    cfg.visualizer.name = str(folder)  # mmengine keeps visualizers by name
    cfg.randomness = dict(seed=0)
    cfg.default_hooks.checkpoint = None  # half a gigabyte
    cfg.model.backbone.init_cfg = None
    cfg.model.criterion.num_points = 64
    cfg.model.criterion.matcher.pop('num_points', None)
    cfg.train_cfg.val_interval = 1
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader):
        dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
        for transform in dataloader.dataset.pipeline:
            for key in {'scale', 'crop_size', 'size'} & transform.keys():
                transform[key] = (SIDE, SIDE)


class StopAfterOne(Hook):
    """Keeps what one iteration and the validation after it give, and ends the training."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses = {name: loss.item() for name, loss in outputs.items()}
        self.shape = (len(data_batch['inputs']), *data_batch['inputs'][0].shape)
        runner.train_loop.stop_training = True

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.results = outputs

    def after_val_epoch(self, runner, metrics=None):
        self.metrics = metrics


@leaves
def test_one_iteration_and_validation(path, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(path)
    provide_data(cfg, shapes)
    shrink(cfg, tmp_path)
    seen = StopAfterOne()
    with DefaultScope.overwrite_default_scope('mask2former'):
        runner = SegRunner.from_cfg(cfg)
        runner.register_hook(seen)
        model = runner.train()

    classes = runner.train_dataloader.dataset.metainfo['classes']
    assert model.classes == classes and model.head.class_embed.out_features == len(classes) + 1
    assert runner.iter == 1 and seen.shape[:2] == (2, 3)
    assert {'loss_class', 'loss_mask', 'loss_dice', 'loss_aux', 'loss'} == seen.losses.keys()
    assert all(math.isfinite(loss) and loss > 0 for loss in seen.losses.values())
    assert seen.losses['loss'] == pytest.approx(sum(seen.losses.values()) / 2)
    assert len(seen.results) == 2
    wanted = {
        'panoptic': ('pred_panoptic_seg', 'PQ'), 'instance': ('pred_instances', 'segm_mAP'),
        'semantic': ('pred_sem_seg', 'mIoU')}
    for name, postprocessor in cfg.model.postprocessors.items():
        field, metric = wanted[name]
        assert (field in seen.results[0]) == (metric in seen.metrics) == (postprocessor is not None)
    assert all(math.isfinite(value) for value in seen.metrics.values())
