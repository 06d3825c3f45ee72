"""The benchmark: what it compares is the same, its results have the promised form, its parts make up the whole."""

import argparse
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import scene, side_by_side
from benchmarks.common import parse_size
from benchmarks.profile import profile_prediction, profile_training
from benchmarks.synthetic import make_batch, make_confident
from mask2former.errors import ConfigError, UserError
from tests.forked import run_forked
from tests.test_models.peers import build_ours

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
KEYS = ['name', 'mode', 'size', 'batch_size', 'seconds_median', 'seconds_min', 'seconds_max', 'peak_mb']
TOOL = ROOT / 'tools/analysis_tools/benchmark.py'


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', str(CONFIG), *map(str, args)])
    side_by_side.main()


def run_tool(tool, *args, cwd):
    return run_forked(tool, CONFIG, *args, cwd=cwd)


def test_results_of_ours_and_the_peers(tmp_path):
    arguments = '--mode predict --size 64 --batch-size 1 --peers mmdet transformers --repeats 2 --warm-up 0'
    process = run_tool(TOOL, *arguments.split(), '--json', 'results.json', cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    results = json.loads((tmp_path / 'results.json').read_text())
    assert [result['name'] for result in results] == ['mask2former', 'mmdet', 'transformers']
    for result in results:
        assert list(result) == KEYS
        assert (result['mode'], result['size'], result['batch_size']) == ('predict', 64, 1)
        assert 0 < result['seconds_min'] <= result['seconds_median'] <= result['seconds_max']
        assert 100 < result['peak_mb'] < 20000
    assert process.stderr.count('the same logits') == 3 and 'transformers' in process.stdout


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [(['--threads', '0'], 'no positive whole number'), (['--plot', 'p.png'], '--plot draws what --scaling measures')],
)
def test_wrong_arguments_are_told(monkeypatch, capsys, arguments, words):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert words in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='Nothing can be written'):
        run(monkeypatch, '--json', tmp_path / 'file' / 'results.json')


def test_a_missing_config_and_a_wrong_option_are_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', 'no.py'])
    with pytest.raises(UserError, match="There is no config 'no.py'"):
        side_by_side.main()
    with pytest.raises(UserError) as raised:
        run(monkeypatch, '--mode', 'predict', '--cfg-options', 'model.nope=1')
    assert str(raised.value).startswith('mask2former: model.nope: Mask2Former has no argument')
    assert '\n' not in str(raised.value)


def scene_of(config, *peers, **options):
    spec = dict(
        config=str(ROOT / 'configs/coco/panoptic' / config),
        cfg_options={},
        peers=peers,
        mode='train',
        size=(64, 96),
        ori_size=None,
        batch_size=1,
        segments=3,
        queries=7,
        outputs=['panoptic'],
        device='cpu',
        **dict.fromkeys(['frames', 'threads', 'amp', 'compile', 'channels_last']),
    )
    return scene.Scene(dict(spec, **options))


@pytest.mark.parametrize(
    ('config', 'peers'),
    [
        ('maskformer_swin-t-p4-w7-224_64xb1-554k_coco-panoptic.py', ['mmdet', 'transformers']),
        ('maskformer_r50_64xb1-554k_coco-panoptic.py', ['mmdet']),
    ],
)
def test_peers_of_a_maskformer(config, peers):
    """They compute the same logits and results, and can be trained."""
    compare(scene_of(config, *peers), peers)


@pytest.mark.parametrize('mode', ['train', 'predict'])
@pytest.mark.parametrize('config', ['eomt_vit-ti_overfit16_coco-panoptic', 'eomt_dinov2-s_8xb2-640-24e_coco-panoptic'])
def test_peers_of_an_eomt(config, mode):
    common = scene_of(f'{config}.py', 'transformers', size=(64, 64), mode=mode)
    masked = compare(common, ['transformers'])['head.mask_probability']
    assert masked.tolist() == [float(mode == 'train')] * 3


def test_an_eomt_of_images_that_are_no_squares():
    common = scene_of('eomt_vit-ti_overfit16_coco-panoptic.py', 'transformers')
    with pytest.raises(UserError, match="^transformers' EoMT is for square images: give --size one number"):
        common.contestant('transformers', {})


def test_parts_of_videos_are_refused_before_the_work():
    with pytest.raises(UserError, match='leave out --profile and --floor'):
        scene_of('../../youtube_vis/video-mask2former_r50_8xb2-6k_youtube-vis-2019.py', profile=True)


def compare(common, peers):
    """Compare ours and the peers, and return our weights."""
    weights, expected = common.common_weights()
    assert len(expected[0][0]) == 7 and expected[1].std() > 0
    for name in [scene.OURS, *peers]:
        contestant = common.contestant(name, common.weights_of(name, weights))
        trained = next(p for p in contestant.model.parameters() if p.requires_grad)
        before = trained.detach().clone()
        contestant.train_step()
        assert not torch.equal(trained, before)
        contestant = common.contestant(name, common.weights_of(name, weights))
        contestant.model.eval()
        with torch.no_grad():
            assert scene.agrees(scene.logit_errors(contestant.logits(), expected)), name
        contestant.predict()
    return weights


def test_a_maskformer_that_a_peer_has_not():
    common = scene_of('maskformer_r50_64xb1-554k_coco-panoptic.py')
    weights = ['head.query_embed.weight', 'head.class_embed.weight', 'pixel_decoder.encoder.0.self_norm.weight']
    with pytest.raises(UserError, match="^transformers has no 'maskformer-encoder' to compare with.$"):
        common.weights_of('transformers', dict.fromkeys(weights))


def test_an_installed_tool_has_no_benchmarks(tmp_path):
    (tmp_path / 'tools/analysis_tools').mkdir(parents=True)
    process = run_tool(shutil.copy(TOOL, tmp_path / 'tools/analysis_tools'), cwd=tmp_path)
    assert process.returncode == 1 and process.stderr.startswith('Error: The benchmarks are not part of the installed')


def test_what_goes_wrong_in_a_process_is_told(monkeypatch):
    with pytest.raises(UserError, match=r"^mask2former: The config has no output \['nothing'\]"):
        run(monkeypatch, '--outputs', 'nothing')
    with pytest.raises(UserError, match='(?s)^mask2former: Traceback.*ValueError: num_channels'):
        run(monkeypatch, '--cfg-options', 'model.pixel_decoder.num_groups=7')


@pytest.mark.slow
def test_training_and_its_parts(monkeypatch, capsys):
    run(monkeypatch, '--size', '64x96', '--segments', 3, '--repeats', 1, '--warm-up', 0, '--profile')
    printed = capsys.readouterr().out
    for part in ('backbone forward', 'pixel decoder backward', 'match', 'loss forward', 'head backward', 'optimizer'):
        assert part in printed


def test_whoever_computes_something_else_is_no_peer(monkeypatch):
    monkeypatch.setattr(scene, 'TOLERANCE', dict(median=-1.0, worst=1.0))
    with pytest.raises(UserError, match='mask2former computes other logits.*no comparison'):
        run(monkeypatch, '--size', '64', '--repeats', 1)


@pytest.mark.parametrize('text', ['20', '1x2x3', '64x'])
def test_sizes_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_size(text)


def test_scaling_is_drawn(tmp_path):
    rows = [
        dict(name=name, varied=quantity, value=value, seconds_median=1.0, peak_mb=5.0)
        for quantity, values in side_by_side.SCALING.items()
        for value in values
        for name in ('mask2former', 'mmdet')
    ]
    side_by_side.plot_scaling(rows, str(tmp_path / 'scaling.png'))
    assert (tmp_path / 'scaling.png').stat().st_size > 10000


def test_scaling_varies_one_thing_at_a_time(tmp_path, monkeypatch):
    specs = []
    monkeypatch.setattr(
        side_by_side,
        'measure',
        lambda spec, repeats, warm_up: (
            specs.append(spec)
            or [dict(name='mask2former', seconds_median=1.0, seconds_min=1.0, seconds_max=1.0, peak_mb=1.0)]
        ),
    )
    run(monkeypatch, '--scaling', '--size', '64', '--json', tmp_path / 'scaling.json')
    rows = json.loads((tmp_path / 'scaling.json').read_text())
    assert len(rows) == len(specs) == sum(map(len, side_by_side.SCALING.values()))
    usual = dict(size=(64, 64), segments=12, queries=None, batch_size=1)
    for row, spec in zip(rows, specs):
        changed = [key for key in usual if spec[key] != usual[key]]
        assert changed in ([row['varied']], [])


def test_the_parts_of_a_training_step_give_the_gradients_of_the_whole(monkeypatch):
    model = build_ours('r50').double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    model.criterion.num_points = model.criterion.matcher.num_points = 64
    images, samples = make_batch([3], (64, 64), (64, 64), (64, 64), 133, dtype=torch.float64)
    torch.manual_seed(0)
    sum(model(images, samples, mode='loss').values()).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    torch.manual_seed(0)
    found = {}

    def update():
        found.update({name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad})

    parts = profile_training(model, images, samples, update)
    assert all(seconds > 0 for seconds in parts.values())
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-12)


@torch.no_grad()
def test_a_confident_model_is_sure_of_as_many_queries_as_asked():
    model = build_ours('r50')
    images, samples = make_batch([1], (64, 64), (64, 64), (64, 64), 133)
    make_confident(model, images, 7)
    probability = model.extract(images).class_logits[-1, 0].softmax(-1)
    assert int((probability.argmax(-1) != 133).sum()) == 7
    parts = profile_prediction(model, images, samples)
    assert list(parts) == ['backbone', 'pixel decoder', 'head', 'post-processing'] and min(parts.values()) > 0


def test_shapes_of_a_batch():
    assert scene.batch_shapes(dict(size=[800, 1333], ori_size=None)) == ((800, 1344), (800, 1333), (800, 1333))
    assert scene.batch_shapes(dict(size=[64, 64], ori_size=[100, 90])) == ((64, 64), (64, 64), (100, 90))


def test_the_peer_of_videos(tmp_path):
    """It computes the same logits of clips, and can be trained and asked."""
    config = tmp_path / 'video.py'
    models = ROOT / 'configs/_base_/models'
    config.write_text(
        f'_base_ = [{str(CONFIG)!r}, {str(models / "video_parts.py")!r}]\nmodel = dict(**_base_.video_parts)\n'
    )
    common = scene_of(config, 'mmdet', batch_size=2, outputs=None)
    weights, expected = common.common_weights()
    assert expected[1].shape[:3] == (2, 7, 2) and expected[1].std() > 0
    for name in [scene.OURS, 'mmdet']:
        contestant = common.contestant(name, common.weights_of(name, weights))
        trained = next(p for p in contestant.model.parameters() if p.requires_grad)
        before = trained.detach().clone()
        for _ in range(2):
            contestant.train_step()
        assert not torch.equal(trained, before)
        contestant = common.contestant(name, common.weights_of(name, weights))
        contestant.model.eval()
        with torch.no_grad():
            assert scene.agrees(scene.logit_errors(contestant.logits(), expected)), name
        assert len(contestant.predict()) == 2
    with pytest.raises(UserError, match='^transformers has no model of videos: compare with mmdet.$'):
        common.contestant('transformers', {})
