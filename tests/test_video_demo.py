"""demo/video_demo.py: what it writes and prints, with models of images and of videos, and what it says of bad input."""

import json
import runpy
import sys
import time

import av
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.datasets import config_metainfo
from mask2former.formats import video_frames
from mask2former.formats.rle import decode_mask
from mask2former.formats.video_frames import open_frames
from mask2former.formats.video_json import read_video_json
from mask2former.registry import MODELS

from .test_formats.videos import make_video
from .tiny import ROOT

SHAPES = 'video-mask2former_efficientnet-lite0_moving-shapes.py'


@pytest.fixture(scope='module')
def image_run(tiny_run):
    return tiny_run


@pytest.fixture(scope='module')
def video_run(tmp_path_factory):
    """Paths of a config of videos, of random weights and of a folder of the frames of a drawn video."""
    folder = tmp_path_factory.mktemp('video')
    generate_moving_shapes(folder, num_train=1, num_val=1, size=(48, 64), frames=(11, 11), seed=0)
    cfg = Config.fromfile(ROOT / 'configs' / 'shapes' / SHAPES)
    cfg.model.backbone.init_cfg = None
    for part in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        part.dataset.data_root = str(folder)
    cfg.dump(folder / 'config.py')
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, metainfo=config_metainfo(cfg)))
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), folder / 'a.pth')
    [video] = read_video_json(folder / 'train.json')['videos']
    first = folder / 'train' / 'JPEGImages' / video['file_names'][0]
    return folder / 'config.py', folder / 'a.pth', first.parent


@pytest.fixture
def demo(monkeypatch, capsys):
    """Runs the demo in this process: gives the exit status or message, and what it printed."""

    def run_main(*arguments):
        monkeypatch.setattr(sys, 'argv', ['video_demo.py', *map(str, arguments), '--device', 'cpu'])
        status = 0
        try:
            runpy.run_path(str(ROOT / 'demo' / 'video_demo.py'), run_name='__main__')
        except SystemExit as stopped:
            status = stopped.code
        return status, capsys.readouterr()

    return run_main


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_an_image_model_on_a_file_with_sound(image_run, demo, tmp_path, task):
    video = make_video(tmp_path / 'in.mp4', frames=7, fps=5, tone=True)
    out, tracks = tmp_path / 'new' / 'out.mp4', tmp_path / 'tracks.json'
    options = ('--out', out, '--json', tracks, '--task', task, '--score-thr', 0)
    status, printed = demo(video, image_run.config, image_run.checkpoint, *options)
    assert status == 0, status
    lines = printed.out.splitlines()
    assert lines[0].endswith(('track in 7 frames.', 'tracks in 7 frames.')) and lines[1:] == [
        f'The video is in {out} (libx264).',
        f'The tracks are in {tracks}.',
    ]
    assert '7/7' in printed.err and 'frames/s' in printed.err
    frames = list(open_frames(out))
    assert len(frames) == 7 and frames[0].image.shape == (384, 512, 3)  # enlarged, to read the labels
    assert np.allclose([frame.time for frame in frames], np.arange(7) / 5, atol=1e-3)
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ['video', 'audio']
    content = json.loads(tracks.read_text())
    assert len(content['images']) == 7 and content['annotations']
    assert {decode_mask(row['segmentation']).shape for row in content['annotations']} == {(48, 64)}
    assert read_video_json(tracks)['annotations']


@pytest.mark.parametrize('tracking', ['online', 'windows', 'whole'])
def test_a_video_model_on_a_folder(video_run, demo, tmp_path, tracking):
    config, checkpoint, folder = video_run
    out, tracks = tmp_path / 'pngs', tmp_path / 'tracks.json'
    options = ('--tracking', tracking, '--out', out, '--json', tracks, '--every', 2, '--max-side', 32, '--fps', 4)
    status, printed = demo(folder, config, checkpoint, *options, '--score-thr', 0)
    assert status == 0, status
    assert f'The video is in {out} (PNGs).' in printed.out
    assert ('seen' in printed.err) == (tracking == 'whole') and '6/6' in printed.err
    layers = Config.fromfile(config).model.head.num_layers
    assert ('decoder: 100%' in printed.err and f' {layers}/{layers} ' in printed.err) == (tracking == 'whole')
    assert 'other PNGs' not in printed.out
    assert len(list(out.iterdir())) == 6
    content = json.loads(tracks.read_text())
    names = sorted(path.name for path in folder.iterdir())
    assert [image['file_name'] for image in content['images']] == names[::2]
    assert [image['time'] for image in content['images']] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert {(image['height'], image['width']) for image in content['images']} == {(24, 32)}
    assert content['annotations']


def test_frames_of_another_video_in_the_folder_are_said(image_run, demo, tmp_path):
    out = tmp_path / 'out'
    for frames in (3, 2):
        video = make_video(tmp_path / 'in.mp4', frames=frames)
        status, printed = demo(video, image_run.config, image_run.checkpoint, '--out', out)
        assert status == 0
    assert f"Note: '{out}' has 1 other PNGs, which were there before." in printed.out


def test_broken_frames_are_left_out_and_said(image_run, demo, tmp_path):
    (tmp_path / 'frames').mkdir()
    for index in range(4):
        cv2.imwrite(str(tmp_path / 'frames' / f'{index}.png'), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / 'frames' / '2.png').write_bytes(b'no image')
    out = tmp_path / 'out.mp4'
    status, printed = demo(tmp_path / 'frames', image_run.config, image_run.checkpoint, '--out', out)
    assert status == 0
    assert '2.png' in printed.out and '1 frames could not be read and are left out.' in printed.out
    assert [round(frame.time, 2) for frame in open_frames(out)] == [0, 0.04, 0.12]


def test_a_camera_that_goes_away_and_an_interruption_leave_what_was_done(image_run, demo, tmp_path, monkeypatch):
    class Camera:
        def __init__(self, number):
            self.left = 3

        isOpened = staticmethod(lambda: True)  # noqa: N815
        get = staticmethod(lambda key: 10.0)
        release = staticmethod(lambda: None)

        def read(self):
            self.left -= 1
            time.sleep(0.1)
            return self.left >= 0, np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(video_frames.cv2, 'VideoCapture', Camera)
    out, tracks = tmp_path / 'out.mp4', tmp_path / 'tracks.json'
    status, printed = demo(0, image_run.config, image_run.checkpoint, '--out', out, '--json', tracks)
    assert status.startswith('Error: The camera 0 gave no more after 3 frames') and '\n' not in status
    frames = len(list(open_frames(out)))
    assert 1 <= frames <= 3 and f'in {frames} frames' in printed.out
    assert len(json.loads(tracks.read_text())['images']) == frames

    video = make_video(tmp_path / 'in.mp4', frames=6)
    decode, count = video_frames._upright, []

    def stop(frame):
        count.append(frame)
        if len(count) > 4:
            raise KeyboardInterrupt
        return decode(frame)

    monkeypatch.setattr(video_frames, '_upright', stop)
    out = tmp_path / 'out2.mp4'
    status, printed = demo(video, image_run.config, image_run.checkpoint, '--out', out, '--json', tracks)
    assert status == 130 and printed.err.endswith('Interrupted.\n') and 'in 4 frames' in printed.out
    monkeypatch.undo()
    assert len(list(open_frames(out))) == 4 and len(json.loads(tracks.read_text())['images']) == 4


def test_what_is_wrong_is_one_sentence(image_run, video_run, demo, tmp_path):
    video = make_video(tmp_path / 'in.mp4', frames=2)
    config, checkpoint = image_run.config, image_run.checkpoint
    out = ('--out', tmp_path / 'out.mp4')
    for arguments, said in (
        ((tmp_path / 'absent.mp4', config, checkpoint, *out), "There is no video '"),
        ((tmp_path, config, tmp_path / 'absent.pth', *out), 'has no image'),
        ((video, config, tmp_path / 'absent.pth', *out), "There is no checkpoint '"),
        ((video, config, checkpoint, '--out', tmp_path / 'out.avi'), 'must be a file .mp4 or a folder'),
        ((video, config, checkpoint, '--out', video), 'is the input'),
        ((video_run[2], config, checkpoint, '--out', video_run[2]), 'is the input'),
        ((f'{video_run[2]}/*.jpg', config, checkpoint, '--out', video_run[2]), 'is the input'),
        ((video, config, checkpoint, *out, '--json', video), 'is the input'),
        ((video, config, checkpoint, *out, '--json', out[1]), 'is --out, too'),
        ((video, config, checkpoint, *out, '--json', tmp_path), 'is a folder: give the name of a file'),
        ((video, config, checkpoint, *out, '--json', video / 'a' / 'b.json'), "in.mp4' takes no files"),
        ((video, config, checkpoint, *out, '--every', 0), 'every must be 1 or more'),
        ((video, config, checkpoint, *out, '--fps', 3), 'times of its own'),
        ((video_run[2], *video_run[:2], *out, '--task', 'panoptic'), "not 'panoptic'"),
    ):
        status, printed = demo(*arguments)
        assert str(status).startswith('Error: ') and said in status and '\n' not in status, status
        assert not printed.out
    assert not (tmp_path / 'out.mp4').exists()
    status, printed = demo(video, config, checkpoint)
    assert status == 2 and 'give --out, --json or both' in printed.err
