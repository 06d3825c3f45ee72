"""Frames of a video, whatever it is in: a file, an address, a camera, a folder of images, a pattern, arrays."""

import glob
import os
import re
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

import cv2
import numpy as np
from PIL import Image, ImageOps

from mask2former.errors import ConfigError, DataError, MissingFileError, MissingPackageError

from .frame_source import SILENCE, Decode, FrameSource
from .images import SUFFIXES, is_bgr

VideoInput = str | os.PathLike | int | Sequence[str | os.PathLike | np.ndarray]

IMAGES_FPS = 25.0


def open_frames(
    source: VideoInput, *, every: int = 1, max_side: int | None = None, fps: float | None = None
) -> FrameSource:
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

    Args:
        path: The file or address.
        containers: FFmpeg's names of the formats that it may have, any by default. Of a stranger's file leave out those
            that name other files, such as playlists.

    Attributes:
        path (str): What was opened.
    """

    def __init__(self, path: str, containers: Sequence[str] = ()) -> None:
        av = import_av(f"The video '{path}' is read")
        self.path, self._av = path, av
        is_address = '://' in path
        options = dict(rtsp_transport='tcp') if path.startswith('rtsp') else {}
        if containers:
            options['format_whitelist'] = ','.join(containers)
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


def read_frame(path: str | IO[bytes], formats: tuple[str, ...] | None = None) -> np.ndarray:
    """Read an image (H, W, 3) uint8 BGR, upright; one that is cut off is an error, too.

    Of grey of 16 bits the upper 8 are taken, as OpenCV does.

    Args:
        path: The file.
        formats: Pillow's names of those that it may have; by default any.

    Raises:
        DataError: If it cannot be read whole.
    """
    try:
        with Image.open(path, formats=formats) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode == 'F':
                raise ValueError('its values are no bytes but fractions')
            if image.mode.startswith('I'):  # Pillow would make all above 255 white
                image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
            return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
    except Exception as error:  # the decoders raise what they like
        raise DataError(f"The frame '{path}' cannot be read ({error}); replace it.") from error


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
    if not is_bgr(image):
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
