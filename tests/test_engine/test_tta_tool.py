"""tools/test.py --tta: the views of a config, those made of its test pipeline, and one or two processes."""

import json

import pytest
from mmengine.config import Config

from mask2former.apis.tta import make_tta_pipeline, use_tta

from .tiny import ROOT, free_port, load_tool, name_run, run_script, write_config

IDENTITY = """
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='TestTimeAug', transforms=[[dict(type='RandomFlip', prob=0.0)], [dict(type='PackSegInputs')]]),
]
"""
FLIP = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]


def metrics_of(monkeypatch, config, checkpoint, folder, *arguments):
    """Test in this process; returns the metrics."""
    module = load_tool('test')
    build = module.build_runner

    def build_runner(cfg):
        name_run(cfg)
        return build(cfg)

    monkeypatch.setattr(module, 'build_runner', build_runner)
    monkeypatch.setattr('sys.argv', ['test.py', str(config), str(checkpoint), '--work-dir', str(folder), *arguments])
    module.main()
    return json.loads((folder / 'test_metrics.json').read_text())


def test_one_plain_view_gives_the_metrics_of_the_plain_test(run, shapes, tmp_path, monkeypatch):
    config = write_config(tmp_path, shapes, IDENTITY)
    plain = metrics_of(monkeypatch, config, run.full, tmp_path / 'plain')
    augmented = metrics_of(monkeypatch, config, run.full, tmp_path / 'tta', '--tta')
    assert augmented == plain
    assert {'PQ', 'segm_mAP', 'mIoU'} <= set(plain)


def test_two_processes_measure_what_one_measures(run, shapes, tmp_path, monkeypatch):
    config = write_config(tmp_path, shapes)
    single = metrics_of(
        monkeypatch,
        config,
        run.full,
        tmp_path / 'single',
        '--tta',
        '--out',
        str(tmp_path / 'all.pkl'),
        '--show-dir',
        str(tmp_path / 'pictures'),
    )
    assert len(list((tmp_path / 'pictures').glob('*.jpg'))) == 5
    process = run_script(
        'bash',
        ROOT / 'tools' / 'dist_test.sh',
        config,
        run.full,
        '2',
        '--tta',
        '--work-dir',
        tmp_path / 'double',
        cwd=tmp_path,
        PORT=free_port(),
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert json.loads((tmp_path / 'double' / 'test_metrics.json').read_text()) == single
    plain = metrics_of(monkeypatch, config, run.full, tmp_path / 'plain')
    assert plain != single and plain.keys() == single.keys()


def test_windows_by_the_command_line(run, shapes, tmp_path, monkeypatch):
    config = write_config(
        tmp_path,
        shapes,
        """
model['postprocessors'].update(panoptic=None, instance=None)
test_evaluator = [dict(type='SemanticIoU')]
""",
    )
    whole = metrics_of(monkeypatch, config, run.full, tmp_path / 'whole')
    windows = [
        metrics_of(
            monkeypatch,
            config,
            run.full,
            tmp_path / str(width),
            *options,
            '--cfg-options',
            f'model.sliding_window.crop_size=(64,{width})',
            'model.sliding_window.stride=(32,32)',
        )
        for width, options in ((96, ()), (64, ()), (48, ('--tta',)))
    ]
    assert windows[0] == whole  # which images 64 x 96 are
    assert windows[1] != whole and windows[2].keys() == whole.keys()


def test_views_follow_from_the_test_pipeline():
    load, truth, pack = (dict(type=name) for name in ('LoadImage', 'LoadPanopticGroundTruth', 'PackSegInputs'))
    resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    assert make_tta_pipeline([load, resize, truth, pack], (1.0,)) == [
        load,
        truth,
        dict(type='TestTimeAug', transforms=[[resize], FLIP, [pack]]),
    ]
    assert make_tta_pipeline([load, resize, truth, pack], (1.0, 0.5)) == [
        load,
        truth,
        dict(type='TestTimeAug', transforms=[[resize, dict(resize, scale=(666, 400))], FLIP, [pack]]),
    ]
    half = dict(type='Resize', scale_factor=0.5)
    assert make_tta_pipeline([load, half, pack], (1.0, 1.5))[1]['transforms'][0] == [
        half,
        dict(half, scale_factor=0.75),
    ]
    assert make_tta_pipeline([load, truth, pack], (1.0,)) == [
        load,
        truth,
        dict(type='TestTimeAug', transforms=[FLIP, [pack]]),
    ]
    sizes = [dict(type='Resize', scale_factor=scale, keep_ratio=True) for scale in (1.0, 2.0)]
    assert make_tta_pipeline([load, pack], (1.0, 2.0))[1]['transforms'] == [sizes, FLIP, [pack]]
    with pytest.raises(ValueError, match='no transform that packs'):
        make_tta_pipeline([load], (1.0,))


@pytest.mark.parametrize(
    'options, count', [({}, 2), ({'model.postprocessors.panoptic': None, 'model.postprocessors.instance': None}, 12)]
)
def test_semantic_models_get_the_reference_s_scales(options, count):
    cfg = Config.fromfile(ROOT / 'configs/coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    cfg.merge_from_dict(options)
    use_tta(cfg)
    assert cfg.model.type == 'SegTTAModel' and cfg.model.module.type == 'Mask2Former'
    sizes, flips, _ = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert len(sizes) * len(flips) == count
    assert tuple(sizes[0].scale) == (1333, 800) and flips[0].prob == 0


@pytest.mark.parametrize('name, count', [('panoptic_flip', 2), ('semantic_multi_scale', 12)])
def test_the_configs_of_views(name, count):
    cfg = Config.fromfile(ROOT / f'configs/_base_/tta/{name}.py')
    sizes, flips, _ = cfg.tta_pipeline[-1].transforms
    assert cfg.tta_model.type == 'SegTTAModel' and len(sizes) * len(flips) == count
    assert flips == FLIP
