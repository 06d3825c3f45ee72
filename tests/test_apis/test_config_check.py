"""Faults of a config are named before anything is built, all of them; what is right passes, also other projects'."""

import re
import sys
import time
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from mask2former.apis import init_model
from mask2former.apis.cli import config_parser, run_parser
from mask2former.apis.config_check import check_config, find_faults
from mask2former.apis.run_config import build_runner, change_config, load_config
from mask2former.apis.signatures import arguments_of
from mask2former.errors import ConfigError
from tests.tiny import ROOT, write_config

SHAPES = ROOT / 'configs' / 'shapes' / 'mask2former_efficientnet-lite0_shapes-panoptic.py'
LEAVES = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
MMDET = sorted((Path(mmdet.__file__).parent / '.mim' / 'configs').rglob('*.py'))


def faults_of(*options: str, config: Path = SHAPES) -> list[str]:
    """The faults of a config that is changed on the command line."""
    args = config_parser('').parse_args([str(config), *(['--cfg-options', *options] if options else [])])
    cfg = Config.fromfile(args.config)
    change_config(cfg, args.cfg_options or {})
    return find_faults(cfg, args.cfg_options or {})


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        (
            'default_hooks.checkpoint.max_keep_ckpt=3',
            "default_hooks.checkpoint.max_keep_ckpt: SegCheckpointHook has no argument 'max_keep_ckpt'; did you mean "
            "'max_keep_ckpts'?",
        ),
        ('optim_wraper.optimizer.lr=0.1', "optim_wraper: there is no such setting; did you mean 'optim_wrapper'"),
        (
            'model.head.num_querys=50',
            "model.head.num_querys: MaskedAttentionHead has no argument 'num_querys'; did you mean 'num_queries'",
        ),
        (
            'train_cfg.max_iter=2',
            "train_cfg.max_iter: SegIterTrainLoop has no argument 'max_iter'; did you mean 'max_i",
        ),
        (
            'model.head.num_queries=fifty',
            "model.head.num_queries: MaskedAttentionHead takes a whole number for 'num_queries', not 'fifty'.",
        ),
        ('model.head.num_queries=2.5', "model.head.num_queries: MaskedAttentionHead takes a whole number for 'num_que"),
        ('model.head.with_cp=yes', "model.head.with_cp: MaskedAttentionHead takes True or False for 'with_cp', not "),
        ('train_cfg.max_iters=abc', "train_cfg.max_iters: SegIterTrainLoop takes a whole number for 'max_iters', not "),
        ('train_dataloader.batch_size=two', "train_dataloader.batch_size: a data loader takes a whole number for 'ba"),
        ('optim_wrapper.optimizer.lr=fast', "optim_wrapper.optimizer.lr: AdamW takes a number for 'lr', not 'fast'."),
        ('param_scheduler.0.end=soon', "param_scheduler.0.end: LinearLR takes a whole number for 'end', not 'soon'."),
        ('randomness.deterministic=maybe', "randomness.deterministic: randomness takes True or False for 'det"),
        ('model.head.x.y=1', "model.head.x: MaskedAttentionHead has no argument 'x'; it has "),
        (
            'model.postprocessors.panoptc.score_thr=0.5',
            "model.postprocessors.panoptc: it has no 'type'; did you mean 'panoptic'",
        ),
        (
            'model.postprocessors.panoptc=None',
            "model.postprocessors.panoptc: there is nothing of this name to leave out; did you mean 'panoptic'?",
        ),
        (
            'model.postprocessors.panoptic.type=PanopticFusoin',
            "model.postprocessors.panoptic.type: there is no 'PanopticFusoin' to build it of; did you mean 'PanopticFu",
        ),
        (
            'model.criterion.matcher.class_costs=2',
            "matcher.class_costs: HungarianMatcher has no argument 'class_costs'; did you mean 'class_cost'",
        ),
        (
            'model.backbone.type=mmdet.ResNett',
            "model.backbone.type: there is no 'mmdet.ResNett' to build it of; did yo",
        ),
        (
            'train_dataloader.dataset.pipeline.2.type=RandomFlp',
            "train_dataloader.dataset.pipeline.2.type: there is no 'RandomFlp' to build it of; did you",
        ),
        (
            'train_dataloader.dataset.pipeline.2.probability=1',
            "pipeline.2.probability: RandomFlip has no argument 'probability'; did you mean 'prob'?",
        ),
        ('train_dataloader.dataset.anfile=x', "CocoPanopticFormat has no argument 'anfile'; did you mean 'ann_file'"),
        (
            'train_dataloader.batchsize=1',
            "train_dataloader.batchsize: a data loader has no 'batchsize'; did you mean 'b",
        ),
        ('train_dataloader.sampler.shufle=1', "InfiniteSampler has no argument 'shufle'; did you mean 'shuffle'?"),
        (
            'val_evaluator.1.anfile=x',
            "val_evaluator.1.anfile: InstanceAP has no argument 'anfile'; did you mean 'ann_f",
        ),
        ('val_cfg.typ=ValLoop', "val_cfg.typ: ValLoop has no argument 'typ'"),
        ('optim_wrapper.optimizer.weightdecay=0', "AdamW has no argument 'weightdecay'; did you mean 'weight_decay'"),
        ('optim_wrapper.clip_grad.max_nrm=1', "clip_grad.max_nrm: clip_grad has no 'max_nrm'; did you mean 'max_norm'"),
        ('optim_wrapper.amp_dtyp=bfloat16', "SegOptimWrapper has no argument 'amp_dtyp'; did you mean 'amp_dtype'?"),
        (
            'optim_wrapper.paramwise_cfg.lr=1',
            "paramwise_cfg: paramwise_cfg knows only backbone_lr_mult and layer_decay, not ['lr'].",
        ),
        ('optim_wrapper.constructor=Seg', "optim_wrapper.constructor: there is no 'Seg'; it has"),
        ('param_scheduler.0.start_facter=1', "LinearLR has no argument 'start_facter'; did you mean 'start_factor'"),
        (
            'visualizer.vis_backends.0.type=Local',
            "visualizer.vis_backends.0.type: there is no 'Local' to build it of; di",
        ),
        ('visualizer.alfa=1', "visualizer.alfa: SegLocalVisualizer has no argument 'alfa'; did you mean 'alpha'"),
        ('default_hooks.checkpont.interval=5', "checkpont: it has no 'type'; did you mean 'checkpoint'"),
        ('env_cfg.keep_freed_memry=True', "env_cfg has no 'keep_freed_memry'; did you mean 'keep_freed_memory'"),
        ('randomness.sed=1', "randomness.sed: randomness has no 'sed'; did you mean 'seed'"),
        (
            'log_processor.window=1',
            "log_processor.window: LogProcessor has no argument 'window'; did you mean 'window_si",
        ),
        ('compile.mod=default', "compile.mod: torch.compile has no 'mod'; did you mean 'mode'?"),
        (
            'data_root=elsewhere/',
            'data_root: it is a variable of the config file, of use only within: set what it went into, such as '
            'train_dataloader.dataset.data_root or val_dataloader.dataset.data_root or test_dataloader',
        ),
        ('model.sliding_window.crop_sise=2', "sliding_window has no 'crop_sise'; did you mean 'crop_size'"),
        (
            'model.backbone.init_cfg.checkpont=x',
            "PretrainedInit has no argument 'checkpont'; did you mean 'checkpoint'",
        ),
    ],
)
def test_a_fault_is_one_sentence_with_the_near_names(option, sentence):
    [fault] = faults_of(option)
    assert sentence in fault and '\n' not in fault


def test_all_faults_are_named_at_once():
    with pytest.raises(ConfigError, match='^the config has 3 faults:\n') as caught:
        args = config_parser('').parse_args(
            [str(SHAPES), '--cfg-options', 'model.head.num_querys=5', 'train_cfg.max_iter=2', 'lod_from=a.pth']
        )
        load_config(args)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(':')[0].strip() for line in lines] == ['lod_from', 'model.head.num_querys', 'train_cfg.max_iter']


def test_nothing_is_built_before(shapes, tmp_path):
    cfg = Config.fromfile(write_config(tmp_path, shapes))
    cfg.default_hooks.checkpoint.max_keep_ckpt = 3
    with pytest.raises(ConfigError, match="did you mean 'max_keep_ckpts'"):
        build_runner(cfg)
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_every_config_passes(path):
    assert find_faults(Config.fromfile(path)) == []


@pytest.mark.parametrize('path', LEAVES[::15], ids=lambda path: path.stem)
def test_configs_pass_as_mmengine_writes_them_down(path, tmp_path):
    cfg = Config.fromfile(path)
    cfg.dump(tmp_path / 'dumped.py')
    assert find_faults(Config.fromfile(tmp_path / 'dumped.py')) == []


@pytest.mark.parametrize('page', ['README.md', 'docs/your_own_data.md', 'docs/inference.md', 'docs/evaluation.md'])
def test_the_configs_of_the_pages_pass(page, tmp_path):
    bases = (ROOT / 'configs' / '_base_').as_posix()
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(encoding='utf-8'), re.S)
    for block in (block for block in blocks if '_base_ = [' in block):
        (tmp_path / 'mine.py').write_text(block.replace("'_base_/", f"'{bases}/"))
        assert find_faults(Config.fromfile(tmp_path / 'mine.py')) == []


@pytest.mark.parametrize(
    'path', [path for path in MMDET if '_base_' not in path.parts][::40], ids=lambda path: path.stem
)
def test_configs_of_mmdet_pass(path):
    try:
        cfg = Config.fromfile(path)
    except ModuleNotFoundError:
        pytest.skip('it needs another package')
    if 'model' in cfg:
        assert [fault for fault in find_faults(cfg) if 'DCN' not in fault] == []


def test_a_config_without_a_model_is_a_sentence(tmp_path):
    (tmp_path / 'empty.py').write_text('a = 1\n')
    with pytest.raises(ConfigError, match=r"empty.py' has no model: inherit from"):
        check_config(Config.fromfile(tmp_path / 'empty.py'))
    check_config(Config.fromfile(tmp_path / 'empty.py'), complete=False)
    with pytest.raises(ConfigError, match=r"empty.py' has no model: give the config"):
        init_model(tmp_path / 'empty.py')


def test_it_is_fast():
    cfg = Config.fromfile(SHAPES)
    find_faults(cfg)  # imports what building would import
    start = time.process_time()
    find_faults(cfg)
    assert time.process_time() - start < 0.5


class Named(nn.Module):
    def __init__(self, width: int, depth: int = 1, **kwargs) -> None:
        super().__init__()
        self.rest = kwargs


class HandsOn(Hook):
    def __init__(self, interval: int, name: str = '') -> None:
        self.interval = interval


class Child(HandsOn):
    def __init__(self, extra: int = 0, **kwargs) -> None:
        self.old = kwargs.pop('old', None)
        super().__init__(5, **kwargs)


class Grandchild(Child):
    pass


def decide(a, *, b=1):
    pass


def test_arguments_follow_what_is_handed_on():
    assert arguments_of(Grandchild).names == {'extra', 'old', 'name'} and not arguments_of(Grandchild).anything
    assert arguments_of(Named).anything and arguments_of(Named).required == {'width'}
    assert arguments_of(decide).names == {'a', 'b'} and arguments_of(decide).required == {'a'}
    assert arguments_of(Hook).names == set() and not arguments_of(Hook).anything


def test_modules_of_the_user_pass_and_are_checked(tmp_path, monkeypatch):
    (tmp_path / 'my_parts.py').write_text(
        'from mmengine.hooks import Hook\n'
        'from mask2former.registry import HOOKS, METRICS\n'
        'from mmengine.evaluator import BaseMetric\n'
        '@HOOKS.register_module(force=True)\n'
        'class MyHook(Hook):\n'
        '    def __init__(self, every=1): ...\n'
        '@METRICS.register_module(force=True)\n'
        'class MyMetric(BaseMetric):\n'
        '    def __init__(self, threshold=0.5, **kwargs):\n'
        '        super().__init__(**kwargs)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = '{SHAPES.as_posix()}'\n"
        "custom_imports = dict(imports=['mask2former', 'my_parts'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='MyHook', every=2, priority='LOW')]\n"
        "val_evaluator = [dict(type='MyMetric', threshold=0.1, prefix='mine', collect_device='gpu')]\n"
        'my_own_setting = 5\n'
    )
    assert find_faults(Config.fromfile(path)) == []
    assert faults_of('my_own_setting=7', config=path) == []
    assert "MyHook has no argument 'evry'; did you mean 'every'?" in faults_of('custom_hooks.0.evry=1', config=path)[0]
    [fault] = faults_of('val_evaluator.0.perfix=x', config=path)
    assert "MyMetric has no argument 'perfix'; did you mean 'prefix'?" in fault
    sys.modules.pop('my_parts')


def test_a_tool_may_need_a_part_of_a_config_only_and_a_run_all_of_it():
    data = dict(type='CocoPanopticFormat', ann_file='a.json', data_prefix=dict(img='', seg=''), pipeline=[])
    cfg = Config(dict(train_dataloader=dict(dataset=data), model=dict(head=dict(num_queries=2))))
    assert find_faults(cfg, complete=False) == []
    faults = find_faults(cfg)
    assert faults == [
        "model: it has no 'type' to say what it is, only 'head'.",
        "train_dataloader: it has no 'sampler'.",
    ]
    cfg.train_dataloader.dataset.anfile = 'b.json'
    assert "did you mean 'ann_file'" in find_faults(cfg, complete=False)[0]


@pytest.mark.parametrize(
    'option',
    [
        'train_cfg.max_iters=1e3',
        'model.backbone.init_cfg.type=Normal model.backbone.init_cfg.std=0.01 model.backbone.init_cfg.layer=Conv2d',
        'model.backbone.init_cfg.type=Kaiming model.backbone.init_cfg.a=0.5 model.backbone.init_cfg.layer=Conv2d',
        'param_scheduler.0.end=0.5 param_scheduler.0.convert_to_iter_based=True param_scheduler.0.by_epoch=True',
    ],
)
def test_numbers_that_are_right_pass(option):
    assert not [fault for fault in faults_of(*option.split()) if 'takes' in fault]


def test_a_child_s_argument_is_not_held_against_the_parent_s():
    class Parent:
        def __init__(self, interval: int = 1, end: int = 2) -> None: ...

    class Child(Parent):
        def __init__(self, interval: int | str = 1, **kwargs) -> None:
            super().__init__(**kwargs)

    assert arguments_of(Child).kinds == {'end': frozenset({int})}


def test_types_may_be_classes_and_parts_may_be_built(tmp_path):
    cfg = Config.fromfile(SHAPES)
    cfg.custom_hooks = [dict(type=HandsOn, interval=1), HandsOn(2)]
    assert find_faults(cfg) == []
    cfg.custom_hooks = [dict(type=HandsOn, intervall=1)]
    faults = find_faults(cfg)
    assert "HandsOn has no argument 'intervall'; did you mean 'interval'?" in faults[0]
    assert faults[1] == "custom_hooks.0: HandsOn needs 'interval'."


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['a.b', '10'], "--cfg-options takes KEY=VALUE pairs, but 'a.b' has no '='"),
        (['a=1', 'b', '='], "but 'b' has no '='"),
        (['=1'], "but '=1' has no key"),
        (['a.b=dict(c=1, d=2)'], '--cfg-options takes no dictionaries with commas: give each key by itself'),
        (['a=[1,2'], 'Imbalanced brackets'),
    ],
)
def test_options_that_are_no_pairs_end_in_a_sentence(options, sentence, capsys):
    with pytest.raises(SystemExit):
        run_parser('').parse_args([str(SHAPES), '--cfg-options', *options])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in last and 'Traceback' not in last


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        (
            'model.head.num_queries.x=1',
            'model.head.num_queries.x cannot be set: model.head.num_queries is 50, which has',
        ),
        (
            'val_evaluator.7.x=1',
            'val_evaluator.7.x cannot be set: val_evaluator is a list of 3, so that val_evaluator.',
        ),
        ('val_evaluator.x=1', 'val_evaluator is a list of 3'),
        ('load_from.x=1', 'load_from is None, which has no parts'),
    ],
)
def test_options_that_lead_nowhere_are_named(option, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        faults_of(option)
