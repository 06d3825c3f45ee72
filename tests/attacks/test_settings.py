"""Settings that nothing can come of are refused, by their name, before anything is built or written."""

import re

import pytest
from mmengine.config import Config, DictAction

from mask2former.apis.config_check import check_config
from mask2former.apis.run_config import change_config
from mask2former.auto.train import train
from mask2former.formats.files import check_output
from tests.tiny import write_config
from tests.tools import load_tool

from .kit import FINE, last_line

COUNT = ' must be a number from 1 on, not '
TYPE = ' takes a (whole )?number for '
SETTINGS = [  # setting, values that are refused, the sentence, values that are taken
    ('model.head.num_queries', '0 -1 1.5 a nan inf', f'{COUNT}|{TYPE}', '1 300'),
    ('model.head.num_heads', '0 -2 b', f'{COUNT}|{TYPE}', '1 4'),
    ('model.head.ffn_dims', '0 -1', COUNT, '8'),
    ('model.head.num_layers', '-1 1.5', f'from 0 on|{TYPE}', '0 3'),
    ('model.pixel_decoder.embed_dims', '0 -8', COUNT, '64'),
    ('model.pixel_decoder.mask_dims', '0', COUNT, '64'),
    ('model.pixel_decoder.num_points', '0 -1', COUNT, '2'),
    ('model.pixel_decoder.num_layers', '-1', 'from 0 on', '0'),
    ('model.criterion.num_points', '0 -4 1.5 nan', f'{COUNT}|{TYPE}', '16'),
    ('model.criterion.matcher.num_points', '0 -4', COUNT, '16'),
    ('model.criterion.oversample_ratio', '0 0.5 nan -1', ' from 1 on', '1 3.5'),
    ('model.criterion.importance_ratio', '2 -1 nan', ' from 0 to 1', '0 1 0.5'),
    ('model.data_preprocessor.size_divisor', '0 -32', COUNT, '1'),
    ('train_dataloader.batch_size', '0 -1 a 1.5', f'{COUNT}|{TYPE}', '1 64'),
    ('val_dataloader.batch_size', '0 -1', COUNT, '1'),
    ('train_dataloader.num_workers', '-1 a', f'from 0 on|{TYPE}', '0 4'),
    ('optim_wrapper.optimizer.lr', 'inf nan -1 a 1e30', f'from 0 to 1e\\+06|{TYPE}', '0 1e-4'),
    ('optim_wrapper.optimizer.weight_decay', 'inf nan -1', 'from 0 to', '0 0.1'),
    ('optim_wrapper.accumulative_counts', '0 -1 1.5', f'{COUNT}|{TYPE}', '1 4'),
    ('optim_wrapper.clip_grad.max_norm', '-1 a nan', 'from 0 on', '0 0.01 inf'),
    ('randomness.seed', '-1 a 4294967296', 'from 0 to 4.29', '0 7'),
    ('default_hooks.logger.interval', '0 -1', COUNT, '1'),
    ('train_cfg.max_iters', '1.5 a nan', TYPE, '1'),
    ('model.backbone.type', 'NoNet', "there is no 'NoNet' to build it of; did you mean", ''),
    ('train_dataloader.sampler.type', 'NoSampler', "there is no 'NoSampler' to build it of", ''),
    ('model.head.num_querys', '5', "has no argument 'num_querys'", ''),
    ('optim_wraper.optimizer.lr', '1', "did you mean 'optim_wrapper'", ''),
    ('work_dir.x', '1', 'work_dir is .*, which has no parts', ''),
]
CASES = [
    pytest.param(key, value, last if refused else FINE, id=f'{key}={value}')
    for key, bad, last, good in SETTINGS
    for refused, values in ((True, bad), (False, good))
    for value in values.split()
]


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Config:
    folder = tmp_path_factory.mktemp('settings')
    return Config.fromfile(write_config(folder, folder))


@pytest.mark.parametrize(('key', 'value', 'last'), CASES)
def test_a_setting(config, key, value, last):
    cfg = config.copy()

    def run() -> None:
        options = {key: DictAction._parse_iterable(value)}
        change_config(cfg, options)
        check_config(cfg, options)

    line = last_line(run)
    assert line == FINE if last == FINE else key.split('.')[0] in line and re.search(last, line), line


PLACES = ['{file}', '{file}/x', '/proc/nowhere', '{file}/x/y', 'x' * 300]


@pytest.mark.parametrize('is_folder', [True, False], ids=['folder', 'file'])
@pytest.mark.parametrize('place', PLACES)
def test_a_place_that_nothing_can_be_written_to(tmp_path, monkeypatch, place, is_folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('kept')
    path = place.format(file=tmp_path / 'file')
    line = last_line(lambda: check_output(path if is_folder else f'{path}/results.pkl', is_folder))
    assert re.search('^Error: Nothing can be written to .*: give another place', line)
    assert (tmp_path / 'file').read_text() == 'kept' and [x.name for x in tmp_path.iterdir()] == ['file']


def test_places_that_can_be_written_to_stay_as_they_are(tmp_path):
    (tmp_path / 'old.pkl').write_text('kept')
    assert last_line(lambda: check_output(tmp_path / 'old.pkl')) == FINE
    assert last_line(lambda: check_output(tmp_path, is_folder=True)) == FINE
    assert last_line(lambda: check_output(tmp_path / 'new' / 'folder', is_folder=True)) == FINE
    assert [x.name for x in tmp_path.iterdir()] == ['old.pkl'] and (tmp_path / 'old.pkl').read_text() == 'kept'
    assert last_line(lambda: check_output(tmp_path)).startswith('Error: Nothing can be written to')


TOOLS = [  # tool, arguments of which one is a place
    ('analysis_tools/attention_mass', '{config} x.pth --json {place}.json'),
    ('analysis_tools/browse_dataset', '{config} --out-dir {place}'),
    ('analysis_tools/eval_metric', '{config} x.pkl --out {place}.json'),
    ('analysis_tools/eval_metric', '{config} x.pkl --submission panoptic --submission-dir {place}'),
    ('analysis_tools/explore_attention', 'image.jpg run --out-dir {place}'),
    ('analysis_tools/oracle', '{config} --json {place}.json'),
    ('analysis_tools/tune_panoptic', '{config} x.pth --json {place}.json'),
    ('misc/check_dataset', '{config} --html {place}.html'),
    ('misc/check_dataset', '{config} --fix {place}'),
    ('model_converters/convert', 'x.pth {place}.pth --to mmdet'),
    ('model_converters/publish_model', 'x.pth {place}.pth'),
    ('deployment/export', 'run --out {place}.onnx'),
    ('deployment/web_page', 'x.onnx --out {place}'),
    ('predict', '{config} x.pth {folder} --out {place}'),
    ('test', '{config} x.pth --out {place}.pkl'),
    ('test', '{config} x.pth --show-dir {place}'),
    ('train', '{config} --work-dir {place}'),
]


@pytest.mark.parametrize(('tool', 'arguments'), TOOLS, ids=[f'{tool} {arguments}' for tool, arguments in TOOLS])
def test_a_place_is_looked_at_before_the_work(tmp_path, monkeypatch, tool, arguments):
    """A file is in the place of a folder; nothing else that is named is there, which would be said after it."""
    (tmp_path / 'file').write_text('kept')
    (tmp_path / 'a.jpg').write_text('no image')
    config = write_config(tmp_path, tmp_path)
    words = arguments.format(config=config, place=tmp_path / 'file' / 'x', folder=tmp_path)
    monkeypatch.setattr('sys.argv', [tool, *words.split()])
    line = last_line(load_tool(tool).main)
    assert re.search("^Error: Nothing can be written to '.*/file/x.*'.*: give another place", line), line


def test_a_training_of_a_folder_looks_at_its_place_before_the_work(tmp_path):
    (tmp_path / 'file').write_text('kept')
    line = last_line(lambda: train(tmp_path, tmp_path / 'file' / 'x'))
    assert line.startswith('Error: Nothing can be written to'), line
