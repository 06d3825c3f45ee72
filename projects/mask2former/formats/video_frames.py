"""Frames of a video, whatever it is in: a file, an address, a camera, a folder of images, a pattern, arrays."""

import contextlib
import glob
import os
import queue
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageOps

from mask2former.errors import ConfigError, DataError, MissingFileError, MissingPackageError

from .images import SUFFIXES

VideoInput = str | os.PathLike | int | Sequence[str | os.PathLike | np.ndarray]
Decode = Callable[[], np.ndarray]
T = TypeVar('T')

IMAGES_FPS = 25.0
SILENCE = 10.0  # seconds without an answer after which an address is given up


class Frame(NamedTuple):
    """A frame: its place in the video, counted from 0 with those that are left out; its time in seconds; and its image
    (H, W, 3) uint8 in the order BGR."""

    place: int
    time: float
    image: np.ndarray


def open_frames(
    source: VideoInput, *, every: int = 1, max_side: int | None = None, fps: float | None = None
) -> 'FrameSource':
    """Open a video.

    Args:
        source: A file of any format that FFmpeg reads; an address (``rtsp://``, ``http://``); the number of a camera; a
            folder of images, or a pattern such as ``'video/*.png'``, in the natural order of their names (``frame2``
            before ``frame10``); a list of images or of arrays (H, W, 3) uint8 in the order BGR.
        every: One frame of so many is given, from the first one on.
        max_side: Larger frames are reduced to this longest side, in pixels.
        fps: Of images, which have no times of their own, how many there are a second; by default 25.

    Raises:
        MissingFileError: If there is no such file, folder or camera.
        MissingPackageError: If it is a file or an address, and PyAV is not installed.
        DataError: If it is no video.
        ConfigError: If an option is wrong.
    """
    if every < 1:
        raise ConfigError(f'every must be 1 or more, but is {every}.')
    if max_side is not None and max_side < 16:
        raise ConfigError(f'max_side must be 16 pixels or more, but is {max_side}.')
    if fps is not None and not fps > 0:
        raise ConfigError(f'fps must be more than 0, but is {fps}.')
    images = _list_images(source)
    opened: FrameSource
    if images is not None:
        opened = ImageFrames(_name(source), images, fps or IMAGES_FPS)
    elif fps is not None:
        raise ConfigError(f"fps is for images, but '{source}' has times of its own: leave it out.")
    elif _is_camera(source):
        opened = CameraFrames(int(source))  # type: ignore[arg-type]
    else:
        opened = FileFrames(os.fspath(source))  # type: ignore[arg-type]
    opened.every, opened.max_side = every, max_side
    return opened


class FrameSource(ABC):
    """The frames of a video, which can be walked through once.

    Frames that cannot be read are left out and counted.

    Args:
        name: What messages call the video.
        fps: Frames a second.
        length: How many frames there are, as far as that is known beforehand.
        live: Whether frames come by the clock. Of those that come while nobody asks for one the newest is kept.

    Attributes:
        every (int): As of :func:`open_frames`.
        max_side (int | None): As of :func:`open_frames`.
        broken (int): Frames that could not be read, so far.
        notes (list[str]): What was wrong, so far, in a sentence each.
    """

    def __init__(self, name: str, fps: float, length: int | None, live: bool = False) -> None:
        self.name, self.fps, self.length, self.live = name, fps, length, live
        self.every = 1
        self.max_side: int | None = None
        self.broken = 0
        self.notes: list[str] = []

    @abstractmethod
    def read(self) -> Iterator[tuple[float, Decode]]:
        """Give the time of each frame, and what decodes it or raises a DataError."""

    def frame_name(self, place: int) -> str:
        """A file name for a frame, for annotations."""
        return f'{Path(self.name).stem}/{place:06}.jpg'

    def close(self) -> None:  # noqa: B027  # images need none
        """Let go of the file or the device."""

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames.

        Raises:
            DataError: If a frame has another size than the first one, if none can be read, or if a camera or a stream
                fails.
        """
        size = None
        due = (item for item in enumerate(self.read()) if item[0] % self.every == 0)
        try:
            for place, (seconds, decode) in newest(due) if self.live else due:
                try:
                    image = decode()
                except DataError as error:
                    self.broken += 1
                    if self.broken == 1:
                        self.notes.append(str(error))
                    continue
                size = size or image.shape[:2]
                if image.shape[:2] != size:
                    raise DataError(
                        f"Frame {place} of '{self.name}' is {image.shape[0]} x {image.shape[1]} (H x W), but the first "
                        f'one is {size[0]} x {size[1]}; the frames of a video must have one size: resize or split it.'
                    )
                yield Frame(place, seconds, reduce_image(image, self.max_side))
        finally:
            self.close()
        if size is None:
            raise DataError(
                f"'{self.name}' has no frame that can be read{': ' + self.notes[0] if self.notes else '; replace it.'}"
            )


class ImageFrames(FrameSource):
    """Images, one after another: files or arrays (H, W, 3) uint8 in the order BGR."""

    def __init__(self, name: str, images: Sequence[str | np.ndarray], fps: float) -> None:
        super().__init__(name, fps, len(images))
        self.images = images

    def read(self) -> Iterator[tuple[float, Decode]]:
        """See :class:`FrameSource`."""
        for index, image in enumerate(self.images):
            decode = partial(_as_is, image) if isinstance(image, np.ndarray) else partial(read_frame, image)
            yield index / self.fps, decode

    def frame_name(self, place: int) -> str:
        """See :class:`FrameSource`."""
        image = self.images[place]
        return super().frame_name(place) if isinstance(image, np.ndarray) else Path(image).name


class FileFrames(FrameSource):
    """A file or an address, by PyAV; turned as the file says, as those of telephones are.

    Attributes:
        path (str): What was opened.
    """

    def __init__(self, path: str) -> None:
        av = import_av(f"The video '{path}' is read")
        self.path, self._av = path, av
        is_address = '://' in path
        options = dict(rtsp_transport='tcp') if path.startswith('rtsp') else {}
        try:
            self._container = av.open(path, options=options, timeout=SILENCE if is_address else None)
        except av.FFmpegError as error:
            mend = 'check the address and the network' if is_address else 'it is no video, or damaged: replace it'
            raise DataError(f"The video '{path}' cannot be opened ({error.strerror}); {mend}.") from None
        if not self._container.streams.video:
            self._container.close()
            raise DataError(f"'{path}' holds no video ({self._container.format.long_name}); give another file.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = 'AUTO'
        fps = float(self._stream.average_rate or self._stream.guessed_rate or IMAGES_FPS)
        seconds = None if self._container.duration is None else self._container.duration / av.time_base
        length = self._stream.frames or (None if seconds is None else round(seconds * fps))
        super().__init__(path, fps, length or None, live=is_address and seconds is None)

    def read(self) -> Iterator[tuple[float, Decode]]:
        """See :class:`FrameSource`."""
        start = (self._container.start_time or 0) / self._av.time_base
        count = 0
        for frame in self._decode():
            if isinstance(frame, str):
                yield count / self.fps, _refuse(frame)
            else:
                seconds = count / self.fps if frame.time is None else max(0.0, frame.time - start)
                yield seconds, partial(_upright, frame)
            count += 1
        if self._stream.frames > count:
            self.notes.append(
                f"'{self.path}' gave {count} of the {self._stream.frames} frames that it says: it is damaged."
            )

    def _decode(self) -> Iterator:
        """Frames; and of what cannot be decoded, the reason."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except self._av.FFmpegError as error:
                if self.live:
                    raise DataError(
                        f"The stream '{self.path}' broke off ({error.strerror}); start again when it is back."
                    ) from None
                self.notes.append(f"'{self.path}' cannot be read to its end ({error.strerror}).")
                return
            if packet is None:
                return
            try:
                for frame in packet.decode():
                    yield f"A frame of '{self.path}' is damaged." if frame.is_corrupt else frame
            except self._av.FFmpegError as error:
                yield f"A frame of '{self.path}' cannot be decoded ({error.strerror})."

    def close(self) -> None:
        """See :class:`FrameSource`."""
        self._container.close()


class CameraFrames(FrameSource):
    """A camera of this computer, by OpenCV."""

    def __init__(self, number: int) -> None:
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise MissingFileError(f'There is no camera {number}, or another program uses it: give another number.')
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        super().__init__(f'camera {number}', fps if fps > 0 else IMAGES_FPS, None, live=True)

    def read(self) -> Iterator[tuple[float, Decode]]:
        """See :class:`FrameSource`."""
        start, count = time.monotonic(), 0
        while True:
            arrived, image = self._capture.read()
            if not arrived:
                raise DataError(f'The {self.name} gave no more after {count} frames; see that it is connected.')
            count += 1
            yield time.monotonic() - start, partial(_as_is, image)

    def close(self) -> None:
        """See :class:`FrameSource`."""
        self._capture.release()


def newest(items: Iterator[T]) -> Iterator[T]:
    """Take items as they come, in a thread, and give the newest one whenever one is asked for."""
    box: queue.Queue = queue.Queue(1)
    done = threading.Event()

    def fetch() -> None:
        end: Exception | None = None
        try:
            for item in items:
                if done.is_set():
                    return
                with contextlib.suppress(queue.Empty):
                    box.get_nowait()
                box.put((item, None))  # never waits: nobody else puts
        except Exception as error:  # raised where the items are taken
            end = error
        while not done.is_set():  # the last item is to be taken before
            with contextlib.suppress(queue.Full):
                box.put((None, end or StopIteration()), timeout=0.1)
                return

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        while True:
            item, error = box.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        done.set()
        thread.join(SILENCE)


def read_frame(path: str) -> np.ndarray:
    """Read an image (H, W, 3) uint8 BGR, upright; one that is cut off is an error, too.

    Raises:
        DataError: If it cannot be read whole.
    """
    try:
        with Image.open(path) as image:
            return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1])
    except Exception as error:  # the decoders raise what they like
        raise DataError(f"The frame '{path}' cannot be read ({error}); replace it.") from error


def reduce_image(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """An image whose longest side is at most ``max_side``."""
    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def natural_key(path: str) -> list[tuple[int, int, str]]:
    """Sorts numbers within names by their value."""
    parts = re.split(r'(\d+)', path)
    return [(1, int(part), '') if part.isdecimal() else (0, 0, part) for part in parts]


def import_av(what: str) -> ModuleType:
    """PyAV, which tells FFmpeg to be silent.

    Args:
        what: What it is needed for, as the beginning of a sentence.

    Raises:
        MissingPackageError: If it is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingPackageError(
            f'{what} with PyAV: pip install av, or use folders of images for input and output.'
        ) from None
    av.logging.set_level(None)
    return av


def _name(source: VideoInput) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else 'the list of images'


def _is_camera(source: VideoInput) -> bool:
    return isinstance(source, int) or (isinstance(source, str) and source.isdecimal())


def _list_images(source: VideoInput) -> list[str | np.ndarray] | None:
    """The images that a source consists of, or None where it is something else."""
    if isinstance(source, (list, tuple)):
        images = [image if isinstance(image, np.ndarray) else os.fspath(image) for image in source]
        for image in images:
            if isinstance(image, np.ndarray):
                _check_array(image)
            elif not os.path.isfile(image):
                raise MissingFileError(f"There is no image '{image}'; correct the list.")
        if not images:
            raise DataError('The list of images is empty: give at least one.')
        return images
    if _is_camera(source):
        return None
    path = os.fspath(source)  # type: ignore[arg-type]
    if os.path.isdir(path):
        found = [str(file) for file in Path(path).iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not found:
            raise DataError(
                f"The folder '{path}' has no image ({', '.join(SUFFIXES)}) directly in it; give that of one video."
            )
    elif os.path.isfile(path):
        if os.path.getsize(path) == 0:
            raise DataError(f"The video '{path}' is empty; replace it.")
        if not path.lower().endswith(SUFFIXES):
            return None
        found = [path]
    elif '://' in path:
        return None
    else:
        found = [file for file in glob.glob(path, recursive=True) if os.path.isfile(file)]
        if not found:
            what = 'no file that fits the pattern' if glob.has_magic(path) else 'no video'
            raise MissingFileError(f"There is {what} '{path}'; give a file, a folder of images or a camera's number.")
    ordered: list[str | np.ndarray] = [*sorted(found, key=natural_key)]
    return ordered


def _check_array(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ConfigError(
            f'A frame must be an array (H, W, 3) uint8, in BGR, but it is {image.dtype} of shape {image.shape}.'
        )


def _refuse(reason: str) -> Decode:
    def decode() -> NoReturn:
        raise DataError(reason)

    return decode


def _as_is(image: np.ndarray) -> np.ndarray:
    return image


def _upright(frame: Any) -> np.ndarray:
    """The image of PyAV's frame, turned as it is to be shown."""
    image = frame.to_ndarray(format='bgr24')
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
