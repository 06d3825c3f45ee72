import argparse
from dataclasses import replace

import pytest
from mmengine.config import Config

from mask2former.auto.choices import (
    MODELS,
    Choice,
    Costs,
    Machine,
    choose_crop,
    choose_lr,
    choose_model,
    choose_points,
    choose_queries,
    choose_schedule,
    choose_size,
)
from mask2former.auto.config_file import Settings, config_text, write_config
from mask2former.auto.survey import Survey
from mask2former.auto.train_command import parse_time
from mask2former.checkpoints.zoo import package_root
from mask2former.errors import ConfigError

LAPTOP, SERVER = Machine('cpu', 2), Machine('cuda', 16)
NUCLEI = Survey('panoptic', 96, 24, 2, (256.0, 256.0), 29.5, 370, 7.0)
PHOTOS = Survey('instance', 5000, 500, 80, (640.0, 480.0), 7.0, 60, 20.0)
STREETS = Survey('semantic', 367, 101, 11, (480.0, 360.0), 9.0, 11, None)


def test_small_objects_are_enlarged_and_large_images_reduced():
    assert choose_size(NUCLEI, LAPTOP).value == (512, 512)
    assert '7 pixels' in choose_size(NUCLEI, LAPTOP).reason
    assert choose_size(PHOTOS, LAPTOP).value == (512, 384)
    assert choose_size(PHOTOS, SERVER).value == (640, 480)
    assert choose_size(STREETS, LAPTOP).value == (480, 360)
    huge = Survey('instance', 10, 2, 1, (4000.0, 3000.0), 7.0, 60, 20.0)
    assert choose_size(huge, SERVER).value == (1024, 768)
    assert '--size' in choose_size(huge, SERVER).reason  # small objects would vanish


def test_crops_are_multiples_of_32_and_whole_images_where_they_are_small():
    assert choose_crop((512, 384), LAPTOP).value == (320, 320)
    assert choose_crop((500, 90), LAPTOP).value == (320, 96)
    assert choose_crop((640, 480), SERVER) == Choice((640, 480), 'whole images')


def test_queries_hold_the_fullest_image():
    assert choose_queries(PHOTOS).value == 100
    assert choose_queries(STREETS).value == 50
    assert choose_queries(NUCLEI).value == 300 and '370' in choose_queries(NUCLEI).reason


def test_points_are_a_share_of_the_mask():
    assert choose_points((1024, 1024)).value == 12544  # as the reference has it
    assert choose_points((320, 320)).value == choose_points((64, 64)).value == 2048
    assert choose_points((512, 1024)).value == 6272
    assert choose_points((2048, 2048)).value == 12544


def test_model_and_rate_follow_the_machine_and_the_start():
    assert choose_model(None, LAPTOP).value == 'lite0'
    assert choose_model(None, SERVER).value == 'r50'
    assert choose_model('swin-t', LAPTOP).value == 'swin-t'
    assert choose_model(None, LAPTOP, 'mask2former_swin-b-in21k').value == 'swin-b'
    assert choose_model('r50', LAPTOP, 'mask2former_swin-b-in21k').value == 'r50'
    assert choose_model(None, LAPTOP, 'maskformer_r50').value == 'lite0'
    with pytest.raises(ConfigError, match="no model 'resnet'"):
        choose_model('resnet', LAPTOP)
    assert choose_lr('lite0', 4, fine_tuned=False).value == 1e-3
    assert choose_lr('lite0', 16, fine_tuned=False).value == 1e-3
    assert choose_lr('lite0', 2, fine_tuned=False).value == 7.1e-4
    assert choose_lr('lite0', 4, fine_tuned=True).value == 3e-4
    assert choose_lr('r50', 16, fine_tuned=False).value == 1e-4
    assert choose_lr('r50', 4, fine_tuned=False).value == 5e-5


def test_a_schedule_fits_into_the_time():
    costs = Costs(step=1.5, image=0.2, batch_size=4)
    schedule = choose_schedule(NUCLEI, costs, seconds=1800, epochs=None)
    at_the_end = NUCLEI.num_val + 2 * 24  # the test, and on 24 training images the thresholds
    validations = 6 * schedule.val_images + at_the_end
    assert 0.94 * 1800 < schedule.max_iters * 1.5 + validations * 0.2 <= 0.95 * 1800 + 0.01
    assert schedule.seconds == 0.95 * 1800 - at_the_end * 0.2
    of_objects = choose_schedule(replace(NUCLEI, form='instance'), costs, seconds=1800, epochs=None)
    assert of_objects.seconds == 0.95 * 1800 - NUCLEI.num_val * 0.2
    assert 5 * schedule.val_interval < schedule.max_iters <= 6 * schedule.val_interval
    # Of many images the validations in between see a part.
    many = choose_schedule(PHOTOS, costs, seconds=600, epochs=None)
    assert many.val_images == 37
    with pytest.raises(ConfigError, match=r'give --time 4m or more'):
        choose_schedule(PHOTOS, costs, seconds=100, epochs=None)


def test_epochs_are_counted_in_images():
    costs = Costs(step=1.5, image=0.2, batch_size=4)
    schedule = choose_schedule(NUCLEI, costs, seconds=None, epochs=10)
    assert (schedule.max_iters, schedule.seconds) == (240, None)
    assert schedule.val_images == 22  # of the 24
    assert choose_schedule(NUCLEI, costs, None, 0.1).val_images == 1


@pytest.mark.parametrize(('text', 'seconds'), [('90s', 90), ('30m', 1800), ('1h30m', 5400), ('1.5h', 5400), ('2', 120)])
def test_times_are_read(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize('text', ['', '0m', 'm', '30 minutes', '-5m', '1h-5m'])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match='no time'):
        parse_time(text)


def test_every_model_has_a_config():
    for name, (config, _, _) in MODELS.items():
        assert (package_root() / f'configs/_base_/models/{config}.py').is_file(), name


NASTY = 'it\'s "a"\nimport sys\r{{ fileDirname }} {{{{$HOME:x}}}} \\ [red] <b>'


def test_names_of_others_stay_what_they_are_in_the_config(tmp_path):
    settings = Settings(
        command=f'mask2former train {NASTY}',
        train=dict(type='A', data_root=NASTY, label_map={0: NASTY, 1: '{{'}),
        val=dict(type='A', data_root=NASTY),
        survey=STREETS,
        model=choose_model(None, LAPTOP),
        size=choose_size(STREETS, LAPTOP),
        crop=Choice((320, 288), 'so'),
        queries=choose_queries(STREETS),
        points=Choice(2048, 'so'),
        batch_size=Choice(4, 'so'),
        lr=Choice(2e-4, 'so'),
        start=NASTY,
        workers=1,
    )
    path = tmp_path / 'config.py'
    write_config(path, settings)
    cfg = Config.fromfile(path)
    assert cfg.load_from == cfg.train_dataloader.dataset.data_root == cfg.test_dataloader.dataset.data_root == NASTY
    assert cfg.train_dataloader.dataset.label_map == {0: NASTY, 1: '{{'}
    assert 'sys' not in cfg


@pytest.mark.parametrize('numbers', [NUCLEI, PHOTOS, STREETS], ids=['panoptic', 'instance', 'semantic'])
@pytest.mark.parametrize('start', [None, 'weights.pth'])
def test_the_config_says_what_was_chosen(numbers, start, tmp_path):
    schedule = choose_schedule(numbers, Costs(1.5, 0.2, 4), seconds=600, epochs=None)
    settings = Settings(
        command='mask2former train data',
        train=dict(type='A', data_root='data/', data_prefix=dict(img='train/')),
        val=dict(type='A', data_root='data/', data_prefix=dict(img='val/')),
        survey=numbers,
        model=choose_model(None, LAPTOP),
        size=choose_size(numbers, LAPTOP),
        crop=Choice((320, 288), 'so'),
        queries=choose_queries(numbers),
        points=Choice(2048, 'so'),
        batch_size=Choice(4, 'so'),
        lr=Choice(2e-4, 'so'),
        start=start,
        workers=1,
        schedule=schedule,
    )
    path = tmp_path / 'config.py'
    path.write_text(config_text(settings, tmp_path))
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.train_dataloader.dataset.data_prefix.img == 'train/'
    assert [t.type for t in cfg.train_dataloader.dataset.pipeline[2:4]] == ['LargeScaleJitter', 'RandomFlip']
    assert cfg.train_dataloader.dataset.pipeline[2].crop_size == (320, 288)
    assert cfg.test_dataloader.dataset.data_prefix.img == 'val/'
    assert 'indices' not in cfg.test_dataloader.dataset
    assert cfg.val_dataloader.dataset.get('indices', numbers.num_val) == schedule.val_images
    assert cfg.model.head.num_queries == settings.queries.value
    assert cfg.model.criterion.num_points == cfg.model.criterion.matcher.num_points == 2048
    assert cfg.optim_wrapper.optimizer.lr == 2e-4
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (schedule.max_iters, schedule.val_interval)
    kept = [task for task, part in cfg.model.postprocessors.items() if part]
    assert kept == (['panoptic', 'instance', 'semantic'] if numbers.form == 'panoptic' else [numbers.form])
    assert cfg.load_from == start
    assert (
        cfg.default_hooks.checkpoint.save_best
        == dict(panoptic='PQ', instance='segm_mAP', semantic='mIoU')[numbers.form]
    )
