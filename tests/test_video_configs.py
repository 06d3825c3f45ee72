"""Configs of videos: the reference's settings; and they train an iteration, validate and test, on drawn videos and at a
reduced size."""

import json
import math
import re

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mask2former.apis.config_check import find_faults
from mask2former.checkpoints.zoo import model_zoo
from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.datasets import dataset_metainfo
from mask2former.engine import SegRunner
from mask2former.engine.run_summary import images_per_batch
from tests.tiny import ROOT

LEAVES = sorted(path for path in (ROOT / 'configs').rglob('video-*.py') if '_base_' not in path.parts)
SERVED = [path for path in LEAVES if path.parent.name != 'shapes']
# Iterations, and the one at which the rate drops: the reference's, and of OVIS MinVIS's.
SCHEDULES = {'YouTubeVIS2019': (6000, 4000), 'YouTubeVIS2021': (8000, 5500), 'OVIS': (10000, 7000)}


def test_there_are_six_models_of_each_year_and_two_of_ovis():
    names = [path.stem for path in SERVED]
    assert [sum(name.endswith(end) for name in names) for end in ('vis-2019', 'vis-2021', 'ovis')] == [6, 6, 2]


@pytest.mark.parametrize('path', SERVED, ids=lambda path: path.stem)
def test_settings_are_the_published_ones(path):
    """Of facebookresearch/Mask2Former, configs/youtubevis_2019 and youtubevis_2021, and the defaults of its code."""
    cfg = Config.fromfile(path)
    train, test = cfg.train_dataloader, cfg.test_dataloader
    end, drop = SCHEDULES[train.dataset.type]
    schedule = dict(type='MultiStepLR', begin=0, end=end, by_epoch=False, milestones=[drop], gamma=0.1)
    assert cfg.train_cfg.max_iters == end and cfg.param_scheduler == schedule
    optim = cfg.optim_wrapper
    assert (optim.optimizer.type, optim.optimizer.lr, optim.optimizer.weight_decay) == ('AdamW', 1e-4, 0.05)
    assert optim.paramwise_cfg == dict(backbone_lr_mult=0.1)
    assert optim.clip_grad == dict(max_norm=0.01, norm_type=2)
    assert train.batch_size == 2 and test.batch_size == 1 and 'filter_cfg' not in train.dataset

    sample, _, _, clip, pack = train.dataset.pipeline
    assert sample == dict(type='SampleFrames', num_frames=2, frame_range=20) and pack == dict(type='PackClipInputs')
    resize = dict(type='RandomChoiceResize', scales=[(1333, 360), (1333, 480)], keep_ratio=True)
    assert clip == dict(type='TransformClip', transforms=[resize, dict(type='RandomFlip', prob=0.5)])
    swin_l = '_swin-l-' in path.stem
    side = 480 if '_swin-' in path.stem and not (swin_l and '2021' in path.stem) else 360
    resize = dict(type='Resize', scale=(1333, side), keep_ratio=True, backend='pillow')
    assert test.dataset.pipeline[2] == dict(type='TransformClip', transforms=[resize])
    assert test.dataset.pipeline[0] == dict(type='SampleFrames', num_frames=None)

    model = cfg.model
    assert (model.head.num_queries, model.head.num_layers) == (200 if swin_l else 100, 9)
    assert model.criterion.num_points == 12544 and model.criterion.no_object_weight == 0.1
    assert model.postprocessors == dict(tracks=dict(type='TrackTopK', max_per_video=10))
    assert len(dataset_metainfo(train.dataset)['classes']) == (25 if train.dataset.type == 'OVIS' else 40)


@pytest.mark.parametrize('path', SERVED, ids=lambda path: path.stem)
def test_training_starts_from_the_instance_model_of_coco_with_the_same_parts(path):
    cfg = Config.fromfile(path)
    entry = model_zoo(ROOT)[cfg.load_from]
    assert entry['Results'][0]['Dataset'] == 'COCO' and entry['Results'][0]['Task'] == 'Instance Segmentation'
    image = Config.fromfile(ROOT / entry['Config']).model
    assert cfg.model.backbone == image.backbone and cfg.model.pixel_decoder == image.pixel_decoder
    assert dict(cfg.model.head, type=None) == dict(image.head, type=None)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos') / 'data'
    generate_moving_shapes(folder, num_train=4, num_val=2, size=(32, 48), frames=(4, 5), seed=0)
    return folder


def provide_data(dataset, videos, split, folder):
    """Give a data set the drawn videos, in its own layout and with the names that its ids have."""
    dataset.data_root = f'{folder}/'
    content = json.loads((videos / f'{split}.json').read_text())
    metainfo = dataset_metainfo(dataset)
    names = dict(zip(metainfo['category_ids'], metainfo['classes']))
    for category in content['categories']:
        category['name'] = names[category['id']]
    if split == 'val':
        content['annotations'] = None
    (folder / dataset.ann_file).parent.mkdir(parents=True, exist_ok=True)
    (folder / dataset.ann_file).write_text(json.dumps(content))
    (folder / dataset.data_prefix.img).parent.mkdir(parents=True, exist_ok=True)
    (folder / dataset.data_prefix.img).symlink_to(videos / split / 'JPEGImages')


def shrink(cfg, folder):
    """Few layers and points, random weights, an iteration; all the rest stays."""
    cfg.work_dir = str(folder / 'work')
    cfg.visualizer.name = str(folder)
    cfg.randomness = dict(seed=0)
    cfg.default_hooks.checkpoint = None
    cfg.model.backbone.init_cfg = cfg.load_from = None
    for key, small in (('depth', 18), ('depths', (1, 1, 1, 1)), ('embed_dims', 32), ('num_heads', (1, 2, 4, 8))):
        if key in cfg.model.backbone:
            cfg.model.backbone[key] = small
    cfg.model.pixel_decoder.num_layers = cfg.model.head.num_layers = 1
    cfg.model.criterion.num_points = 64
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        if dataloader is not None:
            dataloader.update(num_workers=0, persistent_workers=False)


def train_and_test(cfg):
    """The losses of the iteration, and the metrics of the test; also the runner."""
    assert find_faults(cfg) == []
    with DefaultScope.overwrite_default_scope('mask2former'):
        runner = SegRunner.from_cfg(cfg)
        runner.train()
        metrics = runner.test()
    losses = [json.loads(line) for line in open(f'{runner.log_dir}/vis_data/scalars.json')][0]
    assert {'loss_class', 'loss_mask', 'loss_dice', 'loss_aux'} <= losses.keys() and math.isfinite(losses['loss'])
    return metrics, runner


@pytest.mark.parametrize('path', [path for path in LEAVES if path not in SERVED], ids=lambda path: path.stem)
def test_one_iteration_and_validation(path, videos, tmp_path):
    cfg = Config.fromfile(path)
    shrink(cfg, tmp_path)
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataloader.dataset.data_root = str(videos)
    cfg.default_hooks.visualization.update(draw=True, out_dir=str(tmp_path / 'strips'))
    metrics, _ = train_and_test(cfg)
    assert {'track_mAP', 'track_mAP_50', 'track_AR_10'} <= metrics.keys()
    assert sorted(path.name for path in (tmp_path / 'strips').iterdir()) == ['0000.jpg', '0001.jpg']


def test_the_batch_of_clips_is_told(videos, tmp_path):
    """A batch sampler of the config's own leaves the dataloader without a batch size."""
    cfg = Config.fromfile(ROOT / 'configs/shapes/video-mask2former_efficientnet-lite0_moving-shapes.py')
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.data_root = str(videos)
    with DefaultScope.overwrite_default_scope('mask2former'):
        loader = Runner.build_dataloader(cfg.train_dataloader)
    assert loader.batch_size is None and images_per_batch(loader) == 2


# The others differ in sizes that are reduced here.
@pytest.mark.parametrize(
    'path',
    [path for path in SERVED if re.search('r50_.*(2019|ovis)|swin-l.*2021', path.stem)],
    ids=lambda path: path.stem,
)
def test_one_iteration_and_a_test_without_truth(path, videos, tmp_path):
    cfg = Config.fromfile(path)
    shrink(cfg, tmp_path)
    provide_data(cfg.train_dataloader.dataset, videos, 'train', tmp_path)
    provide_data(cfg.test_dataloader.dataset, videos, 'val', tmp_path)
    cfg.train_dataloader.dataset.pipeline[3].transforms[0].scales = [(96, 32), (96, 48)]
    cfg.test_dataloader.dataset.pipeline[2].transforms[0].scale = (96, 40)
    metrics, runner = train_and_test(cfg)
    assert metrics == {}
    for batch in runner.test_dataloader:
        [sample], [clip] = batch['data_samples'], batch['inputs']
        assert clip.shape == (sample.video_length, 3, 40, 60) and sample.ori_shape == (32, 48)


def test_videos_are_held_out_by_their_numbers(videos, tmp_path):
    """As docs/video.md says."""
    page = (ROOT / 'docs' / 'video.md').read_text(encoding='utf-8')
    [code] = [block for block in re.findall(r'```python\n(.*?)```', page, re.S) if 'held_out' in block]
    (tmp_path / 'held_out.py').write_text(
        code.replace('2238', '4').replace("'youtube_vis/", f"'{ROOT.as_posix()}/configs/youtube_vis/")
    )
    cfg = Config.fromfile(tmp_path / 'held_out.py')
    shrink(cfg, tmp_path)
    provide_data(cfg.train_dataloader.dataset, videos, 'train', tmp_path)
    cfg.test_dataloader.dataset.data_root = cfg.train_dataloader.dataset.data_root
    cfg.train_dataloader.dataset.pipeline[3].transforms[0].scales = [(96, 32)]
    cfg.test_dataloader.dataset.pipeline[2].transforms[0].scale = (96, 32)
    metrics, runner = train_and_test(cfg)
    trained, tested = (
        {dataset.get_data_info(i)['video_id'] for i in range(len(dataset))}
        for dataset in (runner.train_dataloader.dataset, runner.test_dataloader.dataset)
    )
    assert (len(trained), len(tested)) == (3, 1) and not trained & tested
    assert 'track_mAP' in metrics
