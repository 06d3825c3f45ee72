"""Written videos are read back: by us, by OpenCV, and after the process was killed."""

import os
import sys

import av
import cv2
import numpy as np
import pytest

from mask2former.errors import ConfigError, DataError, MissingPackageError
from mask2former.formats.video_frames import open_frames
from mask2former.formats.video_writer import open_writer

from .videos import grey, make_video


@pytest.mark.parametrize('size', [(48, 64), (47, 63), (1, 1)])
def test_a_written_video_is_read_back(tmp_path, size):
    path = tmp_path / 'new' / 'a.mp4'
    with open_writer(path, fps=12.5) as writer:
        for index in range(20):
            writer.write(grey(index, size), index / 12.5)
    assert writer.count == 20 and writer.what == 'libx264' and not writer.notes
    even = tuple(side + side % 2 for side in size)

    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 20 and capture.get(cv2.CAP_PROP_FPS) == 12.5
    with av.open(str(path)) as container:
        [stream] = container.streams
        assert stream.codec_context.name == 'h264' and stream.codec_context.pix_fmt == 'yuv420p'
        assert (stream.height, stream.width) == even
    frames = list(open_frames(path))
    assert len(frames) == 20
    for frame in frames:
        assert np.isclose(frame.time, frame.place / 12.5)
        expected = grey(frame.place, size)
        assert abs(float(frame.image.mean()) - expected.mean()) < 12  # the compression loses a little
        assert abs(int(frame.image[-1, -1, 0]) - int(expected[-1, -1, 0])) < 12


def test_colours_are_in_order(tmp_path):
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 255
    for path in (tmp_path / 'a.mp4', tmp_path / 'pngs'):
        with open_writer(path, fps=5) as writer:
            writer.write(image, 0.0)
        [frame] = open_frames(path)
        blue, green, red = frame.image[16, 16]
        assert red > 240 and blue < 20 and green < 20


def test_times_are_kept_where_frames_were_left_out(tmp_path):
    times = [0.0, 0.1, 0.5, 0.5, 0.4, 1.3]  # a clock that stands still or goes back does not stop the video
    with open_writer(tmp_path / 'a.mp4', fps=10) as writer:
        for index, seconds in enumerate(times):
            writer.write(grey(index), seconds)
    found = [frame.time for frame in open_frames(tmp_path / 'a.mp4')]
    assert np.allclose(found, [0, 0.1, 0.5, 0.5, 0.5, 1.3], atol=1e-3) and np.all(np.diff(found) > 0)


@pytest.mark.parametrize('flags', ['', 'faststart'])
def test_the_sound_is_kept(tmp_path, flags):
    source = make_video(tmp_path / 'in.mp4', frames=25, tone=True, flags=flags)
    with open_writer(tmp_path / 'out.mp4', fps=10, sound=str(source)) as writer:
        for frame in open_frames(source):
            writer.write(frame.image[..., ::-1], frame.time)
    assert not writer.notes

    def packets(path):
        with av.open(str(path)) as container:
            return [
                (float(packet.pts * packet.time_base), bytes(packet))
                for packet in container.demux(container.streams.audio[0])
                if packet.pts is not None and packet.pts >= 0
            ]

    expected, found = packets(source), packets(tmp_path / 'out.mp4')
    assert len(found) > 30 and [content for _, content in found] == [content for _, content in expected][: len(found)]
    assert len(expected) - len(found) <= 1  # what would outlast the picture
    assert np.allclose([seconds for seconds, _ in found], [seconds for seconds, _ in expected[: len(found)]], atol=1e-3)
    frames = list(open_frames(tmp_path / 'out.mp4'))
    assert len(frames) == 25 and np.allclose([frame.time for frame in frames], np.arange(25) / 10, atol=1e-3)


def test_a_video_without_sound_is_no_matter(tmp_path):
    source = make_video(tmp_path / 'in.mp4', frames=3)
    with open_writer(tmp_path / 'out.mp4', fps=10, sound=str(source)) as writer:
        writer.write(grey(0), 0.0)
    assert not writer.notes and len(list(open_frames(tmp_path / 'out.mp4'))) == 1


def test_sound_that_mp4_has_no_place_for_is_said(tmp_path):
    with av.open(str(tmp_path / 'in.avi'), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format='s16', layout='mono')
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
    with open_writer(tmp_path / 'out.mp4', fps=10, sound=str(tmp_path / 'in.avi')) as writer:
        writer.write(grey(0), 0.0)
    assert len(writer.notes) == 1 and 'cannot be kept' in writer.notes[0]
    assert len(list(open_frames(tmp_path / 'out.mp4'))) == 1


def test_an_error_leaves_a_whole_video(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_writer(tmp_path / 'a.mp4', fps=10) as writer:
        for index in range(7):
            writer.write(grey(index), index / 10)
        raise KeyboardInterrupt
    assert len(list(open_frames(tmp_path / 'a.mp4'))) == 7


def test_a_killed_process_leaves_what_was_written_before(tmp_path):
    child = os.fork()
    if not child:
        try:
            writer = open_writer(tmp_path / 'a.mp4', fps=10)
            for index in range(200):
                writer.write(grey(index % 50), index / 10)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert 100 < len(list(open_frames(tmp_path / 'a.mp4'))) <= 200


def test_no_frame_leaves_no_file(tmp_path):
    with open_writer(tmp_path / 'a.mp4', fps=10):
        pass
    assert not (tmp_path / 'a.mp4').exists()


def test_a_folder_of_pngs(tmp_path):
    with open_writer(tmp_path / 'out', fps=10) as writer:
        for index in range(3):
            writer.write(grey(index, (5, 7)), index / 10)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [f'{index:06}.png' for index in range(3)]
    assert all(np.array_equal(frame.image, grey(frame.place, (5, 7))) for frame in open_frames(tmp_path / 'out'))


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    for name in ('a.avi', 'a.gif'):
        with pytest.raises(ConfigError, match=f'{name}.* must be a file .mp4 or a folder'):
            open_writer(tmp_path / name, fps=10)
    with pytest.raises(DataError, match='30 x 40 does not fit'), open_writer(tmp_path / 'a.mp4', fps=10) as writer:
        writer.write(grey(0), 0.0)
        writer.write(grey(0, (30, 40)), 0.1)
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(MissingPackageError, match='written with PyAV: pip install av'):
        open_writer(tmp_path / 'b.mp4', fps=10)
