"""Reading videos: what OpenCV reads, in order; and what is wrong, in one sentence."""

import functools
import http.server
import sys
import threading
import time

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mask2former.errors import ConfigError, DataError, MissingFileError, MissingPackageError
from mask2former.formats import video_frames
from mask2former.formats.frame_source import FrameSource, newest
from mask2former.formats.video_frames import open_frames

from .videos import SIZE, data_place, grey, make_video, turn


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp('video') / 'a.mp4', frames=30, fps=10)


@pytest.fixture
def folder(tmp_path):
    """Twelve frames whose names have no leading zeros."""
    (tmp_path / 'frames').mkdir()
    for index in range(12):
        cv2.imwrite(str(tmp_path / 'frames' / f'frame{index}.png'), grey(index))
    return tmp_path / 'frames'


def opencv(path):
    capture = cv2.VideoCapture(str(path))
    images = []
    while (read := capture.read())[0]:
        images.append(read[1])
    return images


def numbers(frames):
    """The greys of frames, which tell which they are."""
    return [round((float(frame.image[-1, -1].mean()) - 20) / 4) for frame in frames]


def test_a_file_is_what_opencv_reads(video):
    source = open_frames(video)
    assert (source.fps, source.length, source.live) == (10, 30, False)
    frames = list(source)
    assert [frame.place for frame in frames] == numbers(frames) == list(range(30))
    assert np.allclose([frame.time for frame in frames], np.arange(30) / 10)
    expected = opencv(video)
    assert len(expected) == 30
    for frame, image in zip(frames, expected, strict=True):
        assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - image).max() <= 1
    assert source.broken == 0 and not source.notes


@pytest.mark.parametrize('matrix', [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_a_telephone_s_video_is_upright(tmp_path, matrix):
    path = make_video(tmp_path / 'a.mp4', frames=2)
    turn(path, matrix)
    [first, _] = open_frames(path)
    expected = opencv(path)[0]  # OpenCV turns it
    assert (first.image.shape != (*SIZE, 3)) == (matrix[0] == 0)
    assert np.abs(first.image.astype(int) - expected).max() <= 1


def test_every_and_max_side(video, folder):
    for path, count in ((video, 30), (folder, 12)):
        frames = list(open_frames(path, every=5, max_side=32))
        assert [frame.place for frame in frames] == numbers(frames) == list(range(0, count, 5))
        assert {frame.image.shape for frame in frames} == {(24, 32, 3)}
    assert np.allclose([frame.time for frame in open_frames(video, every=5)], np.arange(6) / 2)


def test_folders_patterns_and_lists_are_in_natural_order(folder):
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths][1:4] == ['frame1.png', 'frame10.png', 'frame11.png']
    for source in (folder, str(folder), f'{folder}/*.png', str(folder / '**' / 'frame?*.png')):
        opened = open_frames(source, fps=4)
        assert opened.length == 12
        frames = list(opened)
        assert numbers(frames) == list(range(12))
        assert [frame.time for frame in frames] == [index / 4 for index in range(12)]
        assert np.array_equal(frames[3].image, grey(3))
    assert numbers(open_frames([folder / 'frame7.png', grey(2), str(folder / 'frame5.png')])) == [7, 2, 5]
    [frame] = open_frames(folder / 'frame4.png')
    assert frame.time == 0 and np.array_equal(frame.image, grey(4))


def test_images_are_read_upright_and_in_colour_as_opencv_does(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (9, 14, 3), np.uint8)
    for name, pixels in (('a.png', image), ('b.jpg', image), ('c.png', image[..., 0]), ('d.bmp', image)):
        cv2.imwrite(str(tmp_path / name), pixels)
        [frame] = open_frames(tmp_path / name)
        assert np.array_equal(frame.image, cv2.imread(str(tmp_path / name)))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / 'e.jpg', exif=exif)
    [frame] = open_frames(tmp_path / 'e.jpg')
    assert frame.image.shape == (14, 9, 3)
    assert np.array_equal(frame.image, cv2.imread(str(tmp_path / 'e.jpg')))


def test_images_of_other_kinds_are_read_as_opencv_does(tmp_path):
    values = np.random.default_rng(0).integers(0, 65535, (9, 14, 3), np.uint16)
    alpha = np.dstack([values >> 8, values[..., 0] >> 8]).astype(np.uint8)
    grey = Image.fromarray(alpha[..., 0])
    for name, pixels in (('a.png', values[..., 0]), ('b.tif', values[..., 0]), ('c.png', values), ('d.png', alpha)):
        cv2.imwrite(str(tmp_path / name), pixels)
    for name, mode in (('e.png', 'P'), ('f.png', 'LA'), ('g.png', '1')):
        grey.convert(mode).save(tmp_path / name)
    for path in sorted(tmp_path.iterdir()):
        [frame] = open_frames(path)
        assert np.array_equal(frame.image, cv2.imread(str(path))), path.name
    Image.fromarray(values[..., 0].astype(np.float32) / 65535).save(tmp_path / 'fractions.tif')
    with pytest.raises(DataError, match=r'fractions.tif.*fractions\)'):
        list(open_frames(tmp_path / 'fractions.tif'))


def test_broken_and_truncated_images_are_left_out_and_counted(folder, tmp_path):
    (folder / 'frame2.png').write_bytes(b'no image')
    whole = (folder / 'frame5.png').read_bytes()
    (folder / 'frame5.png').write_bytes(whole[: len(whole) - 30])
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.jpg'), noise)
    content = (tmp_path / 'a.jpg').read_bytes()
    (folder / 'frame12.jpg').write_bytes(content[: len(content) // 2])
    source = open_frames(folder)
    frames = list(source)
    assert [frame.place for frame in frames] == numbers(frames) == [0, 1, 3, 4, 6, 7, 8, 9, 10, 11]
    assert source.broken == 3 and len(source.notes) == 1 and 'frame2.png' in source.notes[0]


def test_broken_frames_of_a_file_are_left_out_and_counted(video, tmp_path):
    content = bytearray(video.read_bytes())
    place = data_place(content, 0.4)
    content[place : place + 200] = b'\xff' * 200
    (tmp_path / 'a.mp4').write_bytes(content)
    source = open_frames(tmp_path / 'a.mp4')
    frames = list(source)
    assert source.broken > 0 and 15 <= len(frames) <= 30 - source.broken
    assert 'a.mp4' in source.notes[0] and 'decoded' in source.notes[0]
    assert frames[-1].place >= len(frames)  # the broken ones count
    assert np.allclose([frame.time for frame in frames], np.array(numbers(frames)) / 10)


def test_a_truncated_file_is_read_as_far_as_it_goes(video, tmp_path):
    content = video.read_bytes()
    (tmp_path / 'a.mp4').write_bytes(content[: data_place(content, 0.6)])
    source = open_frames(tmp_path / 'a.mp4')
    frames = list(source)
    assert 5 <= len(frames) < 30 and numbers(frames) == [frame.place for frame in frames] == list(range(len(frames)))
    assert 'a.mp4' in source.notes[-1] and 'of the 30 frames' in source.notes[-1]


def test_a_file_that_lacks_its_end_and_table_is_refused(tmp_path):
    path = make_video(tmp_path / 'a.mp4', flags='')
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"The video '.*a.mp4' cannot be opened .*damaged"):
        open_frames(path)


@pytest.mark.parametrize('frames', [1, 2])
def test_short_videos(tmp_path, frames):
    assert numbers(open_frames(make_video(tmp_path / 'a.mp4', frames=frames))) == list(range(frames))


def refused(kind, words, source, **options):
    with pytest.raises(kind, match=words) as caught:
        list(open_frames(source, **options))
    assert '\n' not in str(caught.value)


def test_what_is_missing_or_empty_is_said(tmp_path):
    refused(MissingFileError, "no video '.*absent.mp4'", tmp_path / 'absent.mp4')
    refused(MissingFileError, r"no file that fits the pattern '.*\*.png'", f'{tmp_path}/*.png')
    refused(DataError, 'has no image .*that of one video', tmp_path)
    (tmp_path / 'a.mp4').touch()
    refused(DataError, 'a.mp4.* is empty', tmp_path / 'a.mp4')
    (tmp_path / 'a.txt').write_text('words')
    refused(DataError, 'a.txt.* cannot be opened', tmp_path / 'a.txt')
    refused(MissingFileError, "no image '.*absent.png'", [tmp_path / 'absent.png'])
    refused(DataError, 'list of images is empty', [])
    refused(ConfigError, r'uint8, in BGR, but it is float64 of shape \(4, 4\)', [np.zeros((4, 4))])
    (tmp_path / 'a.png').write_bytes(b'no image')
    refused(DataError, 'has no frame that can be read.*a.png', tmp_path / 'a.png')
    refused(ConfigError, 'every must be 1 or more', tmp_path / 'a.png', every=0)
    refused(ConfigError, 'max_side must be 16', tmp_path / 'a.png', max_side=0)
    refused(ConfigError, 'fps must be more than 0', tmp_path / 'a.png', fps=0)


def test_a_file_of_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / 'a.mp4'), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    refused(DataError, 'a.mp4.* holds no video', tmp_path / 'a.mp4')


def test_fps_is_for_images(video):
    refused(ConfigError, 'times of its own', video, fps=10)


def test_frames_of_two_sizes_are_refused(folder):
    cv2.imwrite(str(folder / 'frame7.png'), grey(7, (40, 64)))
    source = open_frames(folder)
    seen = []
    with pytest.raises(DataError, match=r'Frame 7 of .* is 40 x 64 .* first one is 48 x 64.*resize or split'):
        for frame in source:
            seen.append(frame.place)
    assert seen == list(range(7))


def test_without_pyav_a_sentence_says_so(video, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    refused(MissingPackageError, 'read with PyAV: pip install av', video)
    assert len(list(open_frames(folder))) == 12


class FakeCapture:
    """A camera that goes away after so many frames."""

    def __init__(self, frames=5, there=True):
        self.frames, self.there, self.released = frames, there, False

    def isOpened(self):  # noqa: N802
        return self.there

    def get(self, _):
        return 0.0

    def read(self):
        self.frames -= 1
        return (True, grey(0)) if self.frames >= 0 else (False, None)

    def release(self):
        self.released = True


def test_a_camera_that_goes_away(monkeypatch):
    capture = FakeCapture()
    monkeypatch.setattr(video_frames.cv2, 'VideoCapture', lambda number: capture)
    source = open_frames('0')
    assert source.live and source.length is None and source.fps == 25
    seen = []
    with pytest.raises(DataError, match='camera 0 gave no more after 5 frames'):
        for frame in source:
            seen.append(frame.place)
    assert seen[-1] == 4 and capture.released


def test_a_camera_that_is_not_there(monkeypatch):
    monkeypatch.setattr(video_frames.cv2, 'VideoCapture', lambda number: FakeCapture(there=False))
    refused(MissingFileError, 'There is no camera 3', 3)


def test_of_a_live_source_the_newest_frame_is_given():
    taken, given = threading.Event(), threading.Event()

    def frames():
        yield 0
        assert taken.wait(10)  # while frame 0 is at work, others come
        yield from (1, 2, 3)
        given.set()
        time.sleep(0.05)
        yield 4

    seen = []
    for item in newest(frames()):
        seen.append(item)
        taken.set()
        assert given.wait(10)
    assert seen in ([0, 3, 4], [0, 4])


def test_an_error_of_a_live_source_comes_after_its_frames():
    def frames():
        yield 0
        raise DataError('gone')

    items = newest(frames())
    assert next(items) == 0
    with pytest.raises(DataError, match='gone'):
        next(items)


def test_leaving_a_live_source_early_ends_its_thread():
    def frames():
        while True:
            time.sleep(0.01)
            yield 0

    before = threading.active_count()
    for _ in newest(frames()):
        break
    assert threading.active_count() == before


def test_an_address(video):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(video.parent))
    handler.func.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}/'
        source = open_frames(address + video.name)
        assert not source.live and source.length == 30
        assert numbers(source) == list(range(30))
        refused(DataError, 'absent.mp4.* cannot be opened .*check the address', address + 'absent.mp4')
        server.shutdown()


def test_an_address_where_nobody_answers():
    refused(DataError, "'rtsp://127.0.0.1:1/a' cannot be opened .*check the address", 'rtsp://127.0.0.1:1/a')


def test_sources_say_what_they_must():
    with pytest.raises(TypeError):
        FrameSource('a', 1, None)
