"""From a folder to a model: files, figures and what a person reads."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import cv2
import pytest
from mmdet.structures import DetDataSample
from mmengine.config import Config

import mask2former
from mask2former import load
from mask2former.__main__ import _is_data, main
from mask2former.apis import build
from mask2former.apis.run_config import build_runner
from mask2former.auto import report
from mask2former.auto import train as module
from mask2former.auto.choices import Costs
from mask2former.auto.info_command import describe, run_info
from mask2former.auto.train import Options, _free_folder, train
from mask2former.checkpoints.named_models import model_of
from mask2former.checkpoints.zoo import find_config
from mask2former.data_tools.shapes import generate_shapes
from mask2former.errors import CheckpointError, ConfigError, DataError, MissingFileError
from tests.tiny import name_run


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('auto') / 'pictures'
    generate_shapes(folder, num_train=6, num_val=3, size=(64, 96))
    return folder


@pytest.fixture(scope='module')
def loaded():
    """The checkpoints that models were made of, in the training of ``trained``."""
    return []


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory, loaded):
    lines = []
    out = tmp_path_factory.mktemp('runs') / 'mine'
    with pytest.MonkeyPatch.context() as patch:
        read = build._read_checkpoint
        patch.setattr(build, '_read_checkpoint', lambda path: loaded.append(path) or read(path))
        return train(data, out, Options(epochs=1, size=64, device='cpu'), lines.append), lines


def test_thresholds_and_test_have_one_model(trained, loaded):
    """The pictures of the report have another one."""
    run, _ = trained
    assert loaded == [str(run.checkpoint)] * 2


def test_everything_is_written_and_said(trained, data):
    run, lines = trained
    assert 'COCO panoptic' in lines[0] or 'COCO' in lines[0]
    text = '\n'.join(lines)
    for name in ('model', 'size', 'crop', 'queries', 'batch', 'lr', 'iterations'):
        assert any(line.startswith(name) for line in lines), text
    cfg = Config.fromfile(run.config)
    assert cfg.train_cfg.max_iters == 3  # 6 images, 2 a step
    [overlap] = [line for line in lines if line.startswith('overlap')]
    assert float(overlap.split()[1]) == cfg.model.postprocessors.panoptic.overlap_thr
    assert 'the best of 0.3, 0.4, 0.5, 0.6, 0.7, 0.8 on 6 training images: PQ' in overlap
    assert run.config.read_text().startswith(f'# Written by: mask2former train {data}')
    assert run.checkpoint.is_file() and run.checkpoint.name.startswith('best_PQ')
    page = run.report.read_text()
    assert page.count('data:image/jpeg') == 2 and page.count('data:image/png') == 1
    assert 'mask2former predict' in page and '://' not in page
    assert f'{run.evaluation.metrics["PQ"]:.1f}' in page
    # How many images the validations in between see depends on the machine's pace, but the first is one of them.
    drawn = {path.name for path in (run.folder / 'train').glob('*/vis_data/vis_image/*')}
    assert {'val_img_1_1.png', 'val_img_1_2.png'} <= drawn


def test_figures_are_those_of_the_test(trained):
    run, _ = trained
    cfg = Config.fromfile(run.config)
    cfg.work_dir, cfg.launcher, cfg.load_from = str(run.folder / 'again'), 'none', str(run.checkpoint)
    name_run(cfg)
    assert run.evaluation.metrics == pytest.approx(build_runner(cfg).test(), abs=1e-9)
    assert len(run.evaluation.scores) == 3
    assert [score for _, score in run.evaluation.scores] == sorted((s for _, s in run.evaluation.scores), reverse=True)


def test_the_folder_is_a_model(trained, data):
    run, _ = trained
    prediction = load(run.folder, device='cpu', score_thr=0.0).predict(next((data / 'val').glob('*.jpg')))
    assert prediction.size == (64, 96)
    assert model_of(str(run.checkpoint)) == 'mask2former_efficientnet-lite0'


def test_info_of_a_run(trained):
    run, _ = trained
    info = run_info(run.folder)
    assert (info['iteration'], info['max_iters']) == (3, 3)
    assert info['curve'][-1]['iter'] == 3 and 'PQ' in info['curve'][-1]
    assert info['checkpoints'][0] == str(run.checkpoint)
    assert info['seconds_left'] == 0
    assert info['report'] == str(run.report)


def test_info_of_a_training_whose_length_followed_the_time(tmp_path):
    """Its last iterations are in no log, but in the last validation or in the name of a checkpoint."""
    logs = tmp_path / '1' / 'vis_data'
    logs.mkdir(parents=True)
    (logs / 'scalars.json').write_text(json.dumps(dict(step=40, loss=2.0, time=1.0, max_iters=45)) + '\n')
    (tmp_path / 'iter_42.pth').touch()
    info = run_info(tmp_path)
    assert (info['iteration'], info['max_iters'], info['seconds_left']) == (42, 45, 3)
    (tmp_path / 'curve.json').write_text(json.dumps([dict(iter=43, max_iters=43, seconds=9.0, PQ=1.0)]))
    info = run_info(tmp_path)
    assert (info['iteration'], info['max_iters'], info['seconds_left']) == (43, 43, 0)


def test_info_of_a_training_that_failed_at_once(tmp_path):
    (tmp_path / '1').mkdir()
    (tmp_path / '1' / '1.log').write_text('')
    (tmp_path / 'failures').mkdir()
    (tmp_path / 'failures' / 'iter_0_rank_0.pth').write_text('')
    info = run_info(tmp_path)
    assert info['iteration'] == 0 and info['failures'] == [f'{tmp_path}/failures/iter_0_rank_0.pth']
    assert 'iter_0_rank_0.pth: replay it' in describe(info)


def test_what_a_person_can_mend_is_left_out_and_said(data, tmp_path):
    broken = tmp_path / 'broken'
    shutil.copytree(data, broken)
    shutil.copy(broken / 'train' / '000001.jpg', broken / 'val' / '000000.jpg')  # trained on what is to be measured
    lines = []
    with pytest.raises(ConfigError, match='nothing can be learnt'):
        train(broken, tmp_path / 'out', Options(seconds=1, size=64, device='cpu'), lines.append)
    text = '\n'.join(lines)
    assert 'in another split' in text
    assert 'train: 5 of 6 images are used' in text


@pytest.fixture
def program(monkeypatch, capsys):
    """Runs ``mask2former`` in this process: gives how it ended and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mask2former', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, capsys.readouterr()

    return run


def test_refusals_of_the_commands(program, tmp_path):
    (tmp_path / 'empty').mkdir()
    message, printed = program('train', tmp_path / 'empty', '--json')
    assert message.startswith('Error: ') and str(tmp_path / 'empty') in message and printed.out == ''
    assert 'not allowed with' in program('train', tmp_path, '--time', '1m', '--epochs', '2')[1].err
    assert 'no time' in program('train', tmp_path, '--time', 'soon')[1].err
    assert 'no log of a training' in program('info', tmp_path, '--json')[0]
    assert 'has no config' in program('predict', tmp_path, tmp_path)[0]
    assert "Did you mean 'predict'" in program('pradict')[0]


def test_the_version_is_said(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['mask2former', '--version'])
    main()
    assert capsys.readouterr().out == f'{mask2former.__version__}\n'


def test_images_in_the_place_of_a_run_are_no_config(program, data):
    images = sorted((data / 'val').glob('*.jpg'))[:2]  # what a shell makes of val/*.jpg
    assert f"'{images[1]}' is no config: give one" in program('predict', *images, 'run')[0]


def test_the_folder_of_a_training_is_a_config(trained, tmp_path):
    run, _ = trained
    assert find_config(str(run.folder)) == run.folder / 'train' / 'config.py'  # run.config is there to be changed
    assert Config.fromfile(run.folder / 'train' / 'config.py').model == Config.fromfile(run.config).model
    (tmp_path / 'shapes.py').write_text('')  # as tools/train.py leaves it
    assert find_config(str(tmp_path)) == tmp_path / 'shapes.py'
    (tmp_path / 'other.py').write_text('')
    with pytest.raises(MissingFileError, match='There is no config'):
        find_config(str(tmp_path))


def test_ports_that_cannot_be(program):
    for port in ('0', '-1', '65536', 'x'):
        assert 'is no port' in program('demo', 'run', f'--port={port}')[1].err


def test_weights_are_looked_at_before_the_data(data, tmp_path):
    lines = []
    with pytest.raises(CheckpointError, match='no checkpoint'):
        train(data, tmp_path / 'out', Options(start=str(next(data.rglob('*.jpg')))), lines.append)
    assert not lines and not (tmp_path / 'out').exists()


def test_a_config_is_trained_as_by_the_tool(program):
    assert "There is no config 'absent.py'" in program('train', 'absent.py')[0]


@pytest.mark.parametrize(
    'arguments, is_data',
    [
        (['--time', '5m', 'images'], True),
        (['--json', 'absent'], True),
        (['absent', '--epochs', '1'], True),
        (['images', '--from', 'mask2former_r50_8xb2-lsj-50e_coco-panoptic'], True),
        (['-h'], True),
        (['mask2former_r50_8xb2-lsj-50e_coco-panoptic', '--work-dir', 'runs'], False),
        (['--work-dir', 'runs', 'config.py'], False),
        (['config.py', '--help'], False),
    ],
)
def test_what_is_data_and_what_a_config(arguments, is_data):
    assert _is_data(arguments) == is_data


def test_time_and_epochs_are_not_both_given(data, tmp_path):
    with pytest.raises(ConfigError, match='not both'):
        train(data, tmp_path, Options(seconds=60, epochs=1))


@pytest.mark.parametrize(
    'wrong, sentence',
    [
        (dict(epochs=0), 'number of epochs must be more than 0'),
        (dict(epochs=float('nan')), 'not nan'),
        (dict(epochs=float('inf')), 'not inf'),
        (dict(seconds=float('nan')), 'time must be more than 0'),
        (dict(seconds=1e30), 'at most'),
        (dict(size=1), 'size must be in 32 .. 16384, not 1'),
        (dict(size=1_000_000), 'not 1000000'),
        (dict(seed=-1), 'seed must be in 0 .. 4294967295, not -1'),
        (dict(device='nowhere'), "no device 'nowhere'"),
        (dict(device='meta'), "cannot compute on the device 'meta'"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_work(data, tmp_path, wrong, sentence):
    lines = []
    with pytest.raises(ConfigError, match=sentence):
        train(data, tmp_path / 'out', Options(**wrong), lines.append)
    assert not lines and not (tmp_path / 'out').exists()


def test_times_of_python_are_refused_in_a_sentence(data):
    with pytest.raises(ConfigError, match="'soon' is no time"):
        mask2former.train(data, time='soon')


def test_nothing_is_written_into_the_data(data, tmp_path):
    for name in ('data', 'train'):
        shutil.copytree(data, tmp_path / name)
        with pytest.raises(DataError, match=f"{name}', lies in '.*{name}', which is read"):
            train(tmp_path / name, tmp_path, Options(epochs=1))


def test_a_training_is_not_trained_over(trained, data, tmp_path, monkeypatch):
    run, _ = trained
    before = run.config.read_text()
    with pytest.raises(ConfigError, match=f"{run.folder}' has a training: .*mask2former train {run.folder} --resume"):
        train(data, run.folder, Options(epochs=1))
    assert run.config.read_text() == before
    with pytest.raises(ConfigError, match='is the folder of a training, not of images: .* --resume'):
        train(run.folder, tmp_path / 'other', Options(epochs=1))
    monkeypatch.chdir(tmp_path)
    for name in ('pictures', 'pictures_2'):
        assert _free_folder(Path('runs/pictures')) == Path('runs', name)
        (tmp_path / 'runs' / name / 'train').mkdir(parents=True)
        (tmp_path / 'runs' / name / 'train' / 'iter_1.pth').touch()


def test_an_interrupted_training_says_how_to_go_on(data, tmp_path, monkeypatch):
    class Interrupted:
        def train(self):
            raise SystemExit(130)

    monkeypatch.setattr(module, 'probe', lambda *_: Costs(1, 1, 2))
    monkeypatch.setattr(module, 'build_runner', lambda _: Interrupted())
    lines = []
    with pytest.raises(SystemExit):
        train(data, tmp_path / 'a b', Options(epochs=1, device='cpu'), lines.append)
    words = shlex.split(lines[-1].removeprefix('Go on with: '))
    assert words == ['mask2former', 'train', str(tmp_path / 'a b'), '--resume']


def test_an_interrupted_training_is_gone_on_with_and_reported(trained, tmp_path, monkeypatch, capsys):
    folder = tmp_path / 'mine'
    shutil.copytree(trained[0].folder, folder)
    (folder / 'report.html').unlink()
    with open(folder / 'config.py', 'a') as file:
        file.write("load_from = 'what_it_began_with.pth'\n")
    seen = []

    class Resumed:
        iter = 2

        def train(self):
            pass

    monkeypatch.setattr(module, 'build_runner', lambda cfg: seen.append(cfg) or Resumed())
    monkeypatch.setattr(sys, 'argv', ['mask2former', 'train', str(folder), '--resume', '--device', 'cpu'])
    main()
    [cfg] = seen
    assert (
        cfg.resume
        and cfg.load_from is None
        and cfg.work_dir == str(folder / 'train')
        and cfg.randomness == dict(seed=0)
    )
    page = (folder / 'report.html').read_text()
    assert page.count('data:image/jpeg') == 2
    chosen = page.split('What was chosen, and why')[1]  # after the training, so once more
    assert 'overlap' in chosen and 'queries' not in chosen
    assert 'until the time was over' in chosen  # 2 iterations instead of 3
    assert (folder / 'config.py').read_text().count("['overlap_thr'] = ") == 1
    assert f'mask2former predict IMAGES {folder}' in capsys.readouterr().out


def test_the_report_shows_the_truth_of_instances(data, tmp_path, monkeypatch):
    """A training of instances, up to its first iteration; then pictures with an inferencer that finds nothing."""
    drawn = []

    class Nothing:
        score_thr = 0.3

        def __init__(self, *_, **__):
            self.visualizer = self

        def __call__(self, path):
            return [DetDataSample()]

        def read_image(self, path):
            return cv2.imread(path)

        def draw_datasample(self, image, sample, pred_score_thr):
            drawn.append(sample)
            return image

    def stop(_):
        raise SystemExit(130)

    monkeypatch.setattr(module, 'probe', lambda *_: Costs(1, 1, 2))
    monkeypatch.setattr(module, 'build_runner', stop)
    with pytest.raises(SystemExit):
        train(data, tmp_path / 'run', Options(task='instance', epochs=1, device='cpu'), lambda _: None)
    monkeypatch.setattr(report, 'SegInferencer', Nothing)
    report._draw_groups(Config.fromfile(tmp_path / 'run' / 'config.py'), tmp_path, [(0, 50.0)], 'cpu')
    assert drawn and all(len(sample.gt_instances.masks) > 0 for sample in drawn)


def test_what_cannot_be_gone_on_with(program, tmp_path):
    assert 'has no training to go on with' in program('train', tmp_path, '--resume')[0]
    assert 'takes no option' in program('train', tmp_path, '--resume', '--time', '3m')[1].err


def test_nothing_is_refused_in_a_sentence(tmp_path):
    with pytest.raises((DataError, FileNotFoundError)):
        train(tmp_path / 'absent', tmp_path / 'out')


def test_json_of_the_command(trained, data, tmp_path, monkeypatch, capsys):
    run, _ = trained
    from mask2former.auto.train_command import main as train_main

    monkeypatch.setattr(module, 'train', lambda *args: (print('a line for people'), run)[1])
    monkeypatch.setattr(sys, 'argv', ['mask2former train', str(data), '--json'])
    train_main()
    printed = capsys.readouterr()
    assert json.loads(printed.out)['metrics'] == run.evaluation.metrics
    assert printed.err == 'a line for people\n'
