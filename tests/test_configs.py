"""Every config builds, trains an iteration and validates, at a reduced size and on data as it wants it."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from PIL import Image

from mask2former.checkpoints.infer import without_memory
from mask2former.checkpoints.zoo import HUB_BACKBONES, model_zoo, resolve
from mask2former.data_tools.shapes import generate_shapes
from mask2former.datasets import dataset_metainfo
from mask2former.datasets.semantic_png import SemanticPngFormat
from mask2former.engine import SegRunner
from mask2former.models.mask2former import feature_layout
from mask2former.registry import DATASETS, MODELS
from tests.tiny import ROOT
from tests.tools import load_tool

CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
LEAVES = [path for path in CONFIGS if '_base_' not in path.parts]
leaves = pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
ZOO = sorted({model['Name']: model for model in model_zoo(ROOT).values()}.values(), key=lambda model: model['Config'])
# Parameters of a backbone without its classifier, in millions (torchvision's and Swin's model zoos).
BACKBONE_SIZES = {'r50': 23.5, 'r101': 42.5, 'swin-t': 27.5, 'swin-s': 48.8, 'swin-b': 86.9, 'swin-l': 195.2}
BACKBONE_SIZES['r101c'] = 42.6  # a ResNet-101 whose stem has 0.11 instead of 0.01
# Classes of each data set and task as the hub's models have them.
HUB_CLASSES = {
    ('coco', 'panoptic'): 133,
    ('coco', 'instance'): 80,
    ('cityscapes', 'panoptic'): 19,
    ('cityscapes', 'instance'): 8,
    ('cityscapes', 'semantic'): 19,
    ('ade20k', 'panoptic'): 150,
    ('ade20k', 'instance'): 100,
    ('ade20k', 'semantic'): 150,
    ('mapillary', 'panoptic'): 65,
    ('mapillary', 'semantic'): 65,
}
MASK2FORMERS, MASKFORMERS = (
    [model for model in ZOO if model['In Collection'] == name] for name in ('Mask2Former', 'MaskFormer')
)
EOMTS = [model for model in ZOO if model['In Collection'] == 'EoMT']
# Backbones with which nothing is published.
UNLISTED = re.compile('_(efficientnet|vit-ti|convnext)|^mask2former_dinov')
# Millions of parameters of timm's vision transformers.
VIT_SIZES = {'ViT-S': 22.1, 'ViT-B': 86.6, 'ViT-L': 304.4, 'ViT-g': 1136.5}
# Data whose validation split only a test server has the annotations of.
SERVED = ('youtube_vis', 'ovis')
SIDE = 64


@pytest.fixture(scope='module')
def features_known() -> Iterator[None]:
    """What the backbone of a config gives is found once, by showing it an image; many models share it."""
    known: dict[str, dict] = {}

    def layout(backbone):
        # The types and settings of its modules, and the shapes of their weights.
        key = repr(backbone) + repr([(name, value.shape) for name, value in backbone.state_dict().items()])
        if key not in known:
            known[key] = feature_layout(backbone)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mask2former.models.mask2former.feature_layout', layout)
        yield


def code_lines(path):
    lines = (line.strip() for line in path.read_text(encoding='utf-8').splitlines())
    return [line for line in lines if line and not line.startswith('#')]


def test_there_are_configs():
    assert len(LEAVES) >= 6 and len(CONFIGS) > len(LEAVES)


@leaves
def test_leaf_is_short_and_says_how_to_run_it_and_what_comes_of_it(path):
    assert len(code_lines(path)) <= 15
    header = path.read_text(encoding='utf-8').split('_base_')[0]
    commands = dict(re.findall(r'^# (?:python tools/train\.py|bash tools/dist_train\.sh) (\S+)(.*)$', header, re.M))
    assert path.relative_to(ROOT).as_posix() in commands, 'the comment at the top lacks the command that trains it'
    assert re.search(r'^# Expected.*\d', header, re.M), 'the comment at the top lacks the result to expect'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.relative_to(ROOT / 'configs').as_posix())
def test_number_of_classes_is_never_written(path):
    assert not [line for line in code_lines(path) if 'num_classes' in line or 'num_things' in line]


@leaves
def test_leaf_is_consistent(path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == 'mask2former' and cfg.runner_type == 'SegRunner'
    assert cfg.train_dataloader.dataset.type == cfg.test_dataloader.dataset.type
    assert set(cfg.train_dataloader.dataset.pipeline[-1]) <= {'type', 'min_area'}
    if path.parent.name in SERVED:
        assert cfg.val_dataloader is cfg.val_evaluator is cfg.val_cfg is None and cfg.test_evaluator == []
        return
    test = cfg.test_dataloader.copy()
    if 'camvid' in path.stem:  # has a test set with annotations
        assert test.dataset.data_prefix == dict(img='test/', seg='semantic_test/')
        test.dataset = {**test.dataset, 'data_prefix': cfg.val_dataloader.dataset.data_prefix}
    assert test == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator


# The model zoo.


def test_every_big_model_is_in_the_zoo_once():
    listed = [model['Config'] for model in ZOO]
    unlisted = [
        path for path in LEAVES if UNLISTED.search(path.stem) or path.parent.name in ('ablations', 'shapes', 'ovis')
    ]
    small = [path.relative_to(ROOT).as_posix() for path in unlisted]
    assert sorted(listed + small) == sorted(path.relative_to(ROOT).as_posix() for path in LEAVES)


@pytest.mark.parametrize('model', ZOO, ids=lambda model: model['Name'])
def test_zoo_says_what_the_config_says(model):
    path = ROOT / model['Config']
    header = path.read_text(encoding='utf-8').split('_base_')[0]
    figures = model['Results'][0]['Metrics']
    eomt = model in EOMTS
    found = re.search(r'^# Expected.*?: (.*?\d)(?: after|[.]$|[.] )', header, re.M)
    assert found[1] == ', '.join(f'{metric} {value}' for metric, value in figures.items())
    assert ('Published for tue-mps/eomt' if eomt else 'published for the reference implementation') in header
    cfg = Config.fromfile(path)
    nodes = re.search(r'NNODES=(\d+)', header)
    gpus = 8 * int(nodes[1]) if nodes else 8
    batch = model['Metadata']['Batch size']
    assert cfg.train_dataloader.batch_size * gpus == cfg.auto_scale_lr.base_batch_size == batch
    source = 'https://huggingface.co/tue-mps/' if eomt else 'https://dl.fbaipublicfiles.com/maskformer/'
    assert model['Name'] == path.stem and model['Weights'].startswith(source)
    task, folder = path.parent.name, path.parent.name
    if task == 'youtube_vis':
        task, folder = 'video instance', f'ytvis_{path.stem[-4:]}'
    assert re.search(rf'[/_]{folder}[/_-]', model['Weights']) and task in model['Results'][0]['Task'].lower()
    schedules = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    assert schedules[-1].end == cfg.train_cfg.max_iters


@pytest.mark.parametrize('model', MASKFORMERS, ids=lambda model: model['Name'])
def test_maskformer_has_the_published_settings(model):
    """Of MaskFormer's configs (facebookresearch/MaskFormer, configs/)."""
    cfg = Config.fromfile(ROOT / model['Config'])
    swin, panoptic = '_swin-' in model['Name'], 'Panoptic' in model['Results'][0]['Task']
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay) == ((6e-5, 0.01) if swin else (1e-4, 1e-4))
    assert cfg.optim_wrapper.paramwise_cfg.backbone_lr_mult == (1.0 if swin else 0.1)
    assert isinstance(cfg.param_scheduler, list) == swin
    encoder = panoptic and not swin
    assert cfg.model.pixel_decoder.type == ('TransformerFPNPixelDecoder' if encoder else 'FPNPixelDecoder')
    assert cfg.model.head.num_queries == 100 and cfg.model.head.num_layers == 6 and cfg.model.head.dropout == 0.1
    if panoptic:
        fusion = cfg.model.postprocessors.panoptic
        assert fusion.score_thr == (0.8 if 'coco' in model['Name'] else 0.7) and not fusion.inside_mask
    else:
        assert cfg.model.postprocessors.semantic.resize == 'scores'


@pytest.mark.parametrize('model', EOMTS, ids=lambda model: model['Name'])
def test_eomt_s_entry_is_that_of_its_config_and_of_the_hub(model):
    """What the name of the weights says: data set, task, size of the backbone and of the images, DINOv3."""
    cfg = Config.fromfile(ROOT / model['Config'])
    dataset, task, size, side, dino = re.fullmatch(
        r'https://huggingface.co/tue-mps/([a-z0-9]+)_([a-z]+)_eomt_([a-z]+)_(\d+)(?:_2x)?(_dinov3)?/resolve/main/'
        r'pytorch_model.bin',
        model['Weights'],
    ).groups()
    alias, hub = model['Alias']
    version, dataset = (3 if dino else 2), dataset.replace('ade20k', 'ade').replace('ade', 'ade20k')
    assert alias == f'eomt-dinov{version}-{size[0]}-{side}-{dataset}-{task}'
    assert model['Name'].startswith(f'eomt_dinov{version}-{size[0]}_8xb2-{side}-')
    assert model['Name'].endswith(f'_{dataset}-{task}')
    for name in (alias, hub):
        assert resolve(name, ROOT).config == ROOT / model['Config']
    assert hub in model['Weights'] and resolve(hub, ROOT).weights == model['Weights']
    letter = size[0] if size == 'giant' else size[0].upper()
    assert model['Metadata']['Backbone'] == f'ViT-{letter} (DINOv{version})'
    assert f'{side} × {side}' in model['Metadata']['Training']
    assert (int(side) == cfg.model.data_preprocessor.get('size_divisor')) == (task != 'semantic')
    assert ('grid_size' in cfg.model.backbone) == (version == 2)
    if version == 2:
        assert tuple(cfg.model.backbone.grid_size) == (int(side) // 16, int(side) // 16)
    assert ('Weights are' in model['Metadata']) == (version == 3)  # differences


@pytest.mark.parametrize('model', [x for x in MASK2FORMERS if '_swin-' in x['Name']], ids=lambda m: m['Name'])
def test_names_of_the_hub_lead_to_the_configs(model):
    _, backbone, _, last = model['Name'].split('_', 3)
    dataset, task = last.rsplit('_')[-1].split('-')
    names = {ours: theirs for theirs, ours in HUB_BACKBONES.items()}
    name = f'facebook/mask2former-{names[backbone]}-{"ade" if dataset == "ade20k" else dataset}-{task}'
    name = name.replace('mapillary', 'mapillary-vistas')
    assert resolve(name, ROOT).config == ROOT / model['Config']
    cfg = Config.fromfile(ROOT / model['Config'])
    assert cfg.model.head.num_queries == (200 if 'swin-l' in backbone and task != 'semantic' else 100)
    assert len(dataset_metainfo(cfg.val_dataloader.dataset)['classes']) == HUB_CLASSES[dataset, task]


@pytest.mark.parametrize('size', ['tiny', 'small', 'base', 'large'])
@pytest.mark.parametrize('dataset, task', [('ade', 'semantic'), ('coco', 'panoptic')])
def test_maskformers_of_the_hub_lead_to_the_configs(size, dataset, task):
    found = resolve(f'facebook/maskformer-swin-{size}-{dataset}', ROOT)
    name = found.config.stem
    assert name.startswith(f'maskformer_swin-{size[0]}-') and name.endswith(task) and dataset in name
    assert ('in21k' in name) == (size in ('base', 'large')) and found.license == 'CC BY-NC 4.0'
    assert resolve(f'facebook/maskformer-swin-{size}-lvis', ROOT) is None


def test_page_of_the_zoo_is_current():
    current = (ROOT / 'docs' / 'model_zoo.md').read_text(encoding='utf-8')
    assert current == load_tool('misc/model_zoo').make_page(ROOT), 'run python tools/misc/model_zoo.py'


@pytest.mark.parametrize('model', ZOO, ids=lambda model: model['Name'])
def test_big_model_builds(model, features_known):
    cfg = Config.fromfile(ROOT / model['Config'])
    cfg.model.backbone.init_cfg = None
    metainfo = dataset_metainfo(cfg.test_dataloader.dataset)
    with DefaultScope.overwrite_default_scope('mask2former'), without_memory():
        built = MODELS.build(dict(cfg.model, metainfo=metainfo))
    assert built.head.num_classes == len(metainfo['classes'])
    size = sum(parameter.numel() for parameter in built.backbone.parameters()) / 1e6
    if model in EOMTS:  # patches of 16 pixels in place of 14 and positions for larger images make them a little larger
        size += sum(parameter.numel() for parameter in built.head.blocks.parameters()) / 1e6
        assert size == pytest.approx(VIT_SIZES[model['Metadata']['Backbone'].split()[0]], rel=0.03)
        return
    name = re.match(r'[a-z2-]+_(r\d+c?|swin-\w)', model['Name'])[1]
    assert size == pytest.approx(BACKBONE_SIZES[name], abs=0.2)


@pytest.mark.parametrize('name, size', [('convnext-t', 27.8), ('dinov3-convnext-t', 27.8), ('dinov2-b', 92.2)])
def test_models_of_the_hub_are_built_without_it(name, size):
    """Millions of parameters of the papers' tables, with the pyramid of DINOv2."""
    cfg = Config.fromfile(ROOT / f'configs/coco/panoptic/mask2former_{name}_8xb2-lsj-50e_coco-panoptic.py')
    with DefaultScope.overwrite_default_scope('mask2former'):
        backbone = MODELS.build(cfg.model.backbone)
    assert sum(parameter.numel() for parameter in backbone.parameters()) / 1e6 == pytest.approx(size, abs=0.3)


ABLATIONS = [path for path in LEAVES if path.parent.name == 'ablations']


@pytest.mark.parametrize('path', ABLATIONS, ids=lambda path: path.stem)
def test_ablation_builds_and_changes_what_its_name_says(path, features_known):
    cfg = Config.fromfile(path)
    full = Config.fromfile(ROOT / 'configs/coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    assert cfg.model != full.model
    assert {key: cfg[key] for key in cfg if key not in ('model', 'matcher')} == {
        key: full[key] for key in full if key != 'model'
    }
    cfg.model.backbone.init_cfg = None
    metainfo = dict(classes=('a', 'b'), isthing=(True, False))
    with DefaultScope.overwrite_default_scope('mask2former'), without_memory():
        MODELS.build(dict(cfg.model, metainfo=metainfo))


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


def write_annotations(shapes, kind, split, metainfo, path, cityscapes=False):
    content = translate(json.loads((shapes / 'annotations' / f'{kind}_{split}.json').read_text()), metainfo)
    if cityscapes:  # its files are named by the ids
        for image in content['images']:
            image['id'] = cityscapes_id(image['id'])
        for annotation in content['annotations']:
            annotation['image_id'] = cityscapes_id(annotation['image_id'])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def cityscapes_id(number):
    return f'aachen_{number:06d}_000019'


def provide_data(cfg, shapes):
    """Write, below the working directory, the files that the data sets and metrics of a config name."""
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = dataloader.dataset
        root, cls = Path(dataset.data_root), DATASETS.get(dataset.type)
        split = 'train' if 'train' in dataset.get('ann_file', dataset.data_prefix.img) else 'val'
        if issubclass(cls, SemanticPngFormat):
            provide_semantic(dataset, root)
            continue
        kind = 'panoptic' if 'seg' in dataset.data_prefix else 'instances'
        cityscapes = dataset.type.startswith('Cityscapes')
        write_annotations(shapes, kind, split, cls.METAINFO, root / dataset.ann_file, cityscapes)
        images = root / dataset.data_prefix.img
        if cityscapes:
            truths = root / 'gtFine' / split / 'aachen'
            (images / 'aachen').mkdir(parents=True, exist_ok=True)
            truths.mkdir(parents=True, exist_ok=True)
            for image in json.loads((shapes / 'annotations' / f'panoptic_{split}.json').read_text())['images']:
                frame = cityscapes_id(image['id'])
                shutil.copy(shapes / split / image['file_name'], images / 'aachen' / f'{frame}_leftImg8bit.png')
                person = np.full((image['height'], image['width']), 24001, dtype=np.uint16)
                Image.fromarray(person).save(truths / f'{frame}_gtFine_instanceIds.png')
        else:
            shutil.copytree(shapes / split, images, dirs_exist_ok=True)
        if kind == 'panoptic':
            shutil.copytree(
                shapes / 'annotations' / f'panoptic_{split}', root / dataset.data_prefix.seg, dirs_exist_ok=True
            )
        if 'semantic' in dataset.data_prefix:
            (root / dataset.data_prefix.semantic).mkdir(parents=True)
            for image in images.glob('*.jpg'):
                values = np.full(Image.open(image).size[::-1], 3, dtype=np.uint8)
                Image.fromarray(values).save(root / dataset.data_prefix.semantic / f'{image.stem}.png')
    for metric in cfg.val_evaluator:
        if metric.get('ann_file'):
            write_annotations(shapes, 'instances', split, cls.METAINFO, Path(metric.ann_file))


def provide_semantic(dataset, root):
    """Two images of a semantic data set: three of its classes and void."""
    ids = list(dataset_metainfo(dataset)['category_ids'])
    void = dataset.get('ignore_index', 255)
    values = np.array([ids[0], ids[3], ids[-1], void if isinstance(void, int) else void[0]])
    values = np.kron(values.reshape(2, 2), np.ones((SIDE // 2, SIDE // 2), int)).astype(np.uint8)
    rng = np.random.default_rng(0)
    for name in 'ab':
        for kind, suffix, array in (
            ('img', dataset.get('img_suffix', '.jpg'), rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)),
            ('seg', dataset.get('seg_map_suffix', '.png'), values),
        ):
            folder = root / dataset.data_prefix[kind] / 'city'
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / (name + suffix))


def shrink(cfg, folder):
    """Small images, batches of two, few layers and points, random weights; all the rest stays."""
    cfg.work_dir = str(folder / 'work')
    cfg.visualizer.name = str(folder)  # mmengine keeps visualizers by name
    cfg.randomness = dict(seed=0)
    cfg.default_hooks.checkpoint = None  # half a gigabyte
    shrink_backbone(cfg.model.backbone)
    if cfg.model.backbone.type == 'PlainViT':
        cfg.model.backbone.update(embed_dims=64, num_layers=1, num_heads=2, ffn_dims=64)
        cfg.model.head.update(num_heads=2, ffn_dims=64, init_cfg=None)
        cfg.model.data_preprocessor.size_divisor = 32
    if cfg.model.criterion.type == 'PointSampledCriterion':
        cfg.model.criterion.num_points = 64
    for part in (cfg.model.pixel_decoder, cfg.model.head):
        if 'num_layers' in part:
            part.num_layers = 2
    for key, small in (('depth', 18), ('depths', (1, 1, 1, 1))):
        if key in cfg.model.backbone:
            cfg.model.backbone[key] = small
    cfg.model.criterion.get('matcher', {}).pop('num_points', None)
    cfg.train_cfg.val_interval = 1
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader):
        dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
        shrink_transforms(dataloader.dataset.pipeline)


def shrink_backbone(backbone):
    if backbone.type == 'SimpleFeaturePyramid':
        return shrink_backbone(backbone.backbone)
    if backbone.type != 'HFBackbone':
        backbone.init_cfg = None
        return None
    backbone.pretrained = False
    small = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, depths=(1, 1, 1, 1))
    small['hidden_sizes'] = (8, 16, 24, 32)
    backbone.config.update({key: value for key, value in small.items() if key in backbone.config})
    return None


def shrink_transforms(transforms):
    for transform in transforms:
        for choice in transform.get('transforms', ()):
            shrink_transforms(choice)
        for key in {'scale', 'crop_size', 'size'} & transform.keys():
            transform[key] = (SIDE, SIDE)
        if 'scales' in transform:
            usual = transform.scales[min(5, len(transform.scales) - 1)][1]
            transform.scales = [(4 * side, int(side * SIDE / usual)) for _, side in transform.scales]


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


# The larger Swins and ResNet-101 are the parts of the smaller ones in other sizes, which are reduced here anyway;
# MaskFormer's are trained on the data sets of Mask2Former's; and ablations are built below.
LARGER = re.compile(
    'r101|swin-[sbl]|^eomt_dinov(3-l|.-[bg])|^eomt_dinov2-l_.*(1280|ade20k-panoptic|512)|^maskformer_r50_(?!64xb1)|^per-pixel.*-(full|stuff10k)-'
)


@pytest.mark.parametrize(
    'path',
    [
        pytest.param(path, marks=pytest.mark.slow if LARGER.search(path.name) or 'ablations' in path.parts else ())
        for path in LEAVES
        if not path.stem.startswith('video-')  # see test_video_configs.py
    ],
    ids=lambda path: path.stem,
)
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
    assert model.classes == classes and model.head.num_classes == len(classes)
    assert runner.iter == 1 and seen.shape[:2] == (2, 3)
    parts = {'pixel'} if cfg.model.criterion.type == 'PerPixelCriterion' else {'class', 'mask', 'dice'}
    assert {'loss', 'loss_aux', *(f'loss_{part}' for part in parts)} == seen.losses.keys()
    single = cfg.model.head.type == 'PerPixelHead'  # without a decoder there is one output
    assert all(math.isfinite(x) and (x > 0) != (single and name == 'loss_aux') for name, x in seen.losses.items())
    assert seen.losses['loss'] == pytest.approx(sum(seen.losses.values()) / 2)
    assert len(seen.results) == 2
    wanted = {
        'panoptic': ('pred_panoptic_seg', 'PQ'),
        'instance': ('pred_instances', 'segm_mAP'),
        'semantic': ('pred_sem_seg', 'mIoU'),
    }
    for name, postprocessor in cfg.model.postprocessors.items():
        field, metric = wanted[name]
        assert (field in seen.results[0]) == (metric in seen.metrics) == (postprocessor is not None)
    assert all(math.isfinite(value) for value in seen.metrics.values())
