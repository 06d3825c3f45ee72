"""Writing videos frame by frame: MP4 that browsers play, with the sound of the input, or a folder of PNGs."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mask2former.errors import ConfigError, DataError

from .images import write_image
from .video_frames import import_av

# The first one that FFmpeg has. H.264 is what everything plays; without B-frames the times begin at 0 as they are.
ENCODERS = dict(libx264=dict(preset='veryfast', crf='20', bf='0'), libopenh264={}, mpeg4=dict(qscale='4'))
SOUNDS = ('aac', 'mp3', 'mp3float', 'opus', 'ac3', 'eac3', 'flac', 'alac')  # that MP4 has a place for
TICKS = 90_000  # a second has; the usual clock of videos
# FFmpeg writes pieces that can be played each, so that a killed process leaves a file, and an ordinary file at the end.
FLAGS = 'hybrid_fragmented'
FRAGMENT = 2.0  # seconds


class FrameWriter(ABC):
    """Takes frames; used in a ``with`` statement, which completes the file, also after an error or Ctrl-C.

    Attributes:
        count (int): Frames written.
        what (str): What is written, for people.
        notes (list[str]): What could not be done, in a sentence each.
    """

    def __init__(self) -> None:
        self.count = 0
        self.what = ''
        self.notes: list[str] = []

    @abstractmethod
    def write(self, image: np.ndarray, seconds: float) -> None:
        """Write a frame (H, W, 3) uint8 in the order RGB, which is shown from ``seconds`` on."""

    def close(self) -> None:  # noqa: B027  # a folder needs none
        """Complete the file."""

    def __enter__(self) -> 'FrameWriter':
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_writer(path: str | os.PathLike, fps: float, sound: str | None = None) -> FrameWriter:
    """Write a video.

    Args:
        path: A file ``.mp4``, or else a folder, for PNGs.
        fps: Frames a second, roughly; each frame says its time.
        sound: A file whose sound is copied, if it has any.

    Raises:
        ConfigError: If the path has another suffix.
        MissingPackageError: If it is a file and PyAV is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == '.mp4' and not path.is_dir():
        return VideoFile(path, fps, sound)
    if path.is_file() or (path.suffix and not path.is_dir()):
        raise ConfigError(f"'{path}' must be a file .mp4 or a folder, for PNGs: give such a one.")
    return PngFolder(path)


class PngFolder(FrameWriter):
    """PNGs ``000000.png`` and so on in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.what = path, 'PNGs'
        self._before = set(path.glob('*.png'))

    def close(self) -> None:
        """Say what else is in the folder, such as the frames of a longer video."""
        others = self._before - {self.path / f'{number:06}.png' for number in range(self.count)}
        if others:
            self.notes.append(f"'{self.path}' has {len(others)} other PNGs, which were there before.")

    def write(self, image: np.ndarray, seconds: float) -> None:
        """See :class:`FrameWriter`."""
        write_image(self.path / f'{self.count:06}.png', image[..., ::-1])
        self.count += 1


class VideoFile(FrameWriter):
    """An MP4 file by PyAV, 8 bit 4:2:0, whose sides are even: an odd one is repeated at the border.

    The file can be played while it grows, and where the process is killed.
    """

    def __init__(self, path: Path, fps: float, sound: str | None = None) -> None:
        super().__init__()
        self._av = import_av(f"The video '{path}' is written")
        self.path, self.fps = path, fps
        self._container: Any = None
        self._stream: Any = None
        self._last = -1
        self._sound = None if sound is None else Sound(sound)

    def _open(self, height: int, width: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self.path), 'w', options=dict(movflags=FLAGS))
        self._container.flags |= self._av.container.Flags.flush_packets.value
        name = next((name for name in ENCODERS if self._has(name)), None)
        if name is None:
            raise ConfigError(f"FFmpeg has no encoder for '{self.path}': give a folder, for PNGs.")
        rate = Fraction(self.fps).limit_denominator(1001)
        stream = self._container.add_stream(name, rate=rate, options=ENCODERS[name])
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.gop_size = max(1, round(FRAGMENT * self.fps))
        self._stream, self.what = stream, name
        if name == 'mpeg4':
            self.notes.append(f"'{self.path}' is MPEG-4, as FFmpeg has no H.264 here: browsers may not play it.")
        if self._sound is not None and not self._sound.begin(self._container):
            self.notes.append(f"The sound of '{self._sound.path}' cannot be kept in MP4.")

    def _has(self, encoder: str) -> bool:
        try:
            return bool(self._av.Codec(encoder, 'w'))
        except self._av.codec.codec.UnknownCodecError:
            return False

    def write(self, image: np.ndarray, seconds: float) -> None:
        """See :class:`FrameWriter`."""
        height, width = image.shape[:2]
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._stream is None:
            self._open(*image.shape[:2])
        elif (self._stream.height, self._stream.width) != image.shape[:2]:
            raise DataError(f"A frame of {height} x {width} does not fit into '{self.path}'; give frames of one size.")
        frame = self._av.VideoFrame.from_ndarray(image, format='rgb24')
        frame.pts = self._last = max(self._last + 1, round(seconds * TICKS))
        frame.time_base = Fraction(1, TICKS)
        self._mux(self._stream.encode(frame), seconds)
        self.count += 1

    def _mux(self, packets: list, seconds: float) -> None:
        """Write packets, and the sound until a time."""
        for packet in packets:
            self._container.mux(packet)
        if self._sound is not None:
            for packet in self._sound.until(seconds):
                self._container.mux(packet)

    def close(self) -> None:
        """See :class:`FrameWriter`."""
        if self._stream is not None:
            self._mux(self._stream.encode(), self._last / TICKS + 1 / self.fps)
            self._container.close()
            self._stream = None
        if self._sound is not None:
            self._sound.close()


class Sound:
    """The sound of a file, copied packet by packet."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._av = import_av(f"The sound of '{path}' is read")
        self._input = self._av.open(path)
        self._start = (self._input.start_time or 0) / self._av.time_base
        self._stream: Any = None
        self._packets: Iterator = iter(())
        self._next: Any = None

    def begin(self, output: Any) -> bool:
        """Add the sound, if there is any, to a container; returns whether MP4 has a place for its kind."""
        if not self._input.streams.audio:
            return True
        source = self._input.streams.audio[0]
        if source.codec_context.name not in SOUNDS:
            return False
        self._stream = output.add_stream_from_template(source)
        self._packets = self._input.demux(source)
        self._take()
        # What lies before the beginning fills a decoder's buffer; kept, it would shift the picture.
        while self._next is not None and self._next.dts * self._next.time_base < self._start:
            self._take()
        return True

    def _take(self) -> None:
        try:
            self._next = next((packet for packet in self._packets if packet.dts is not None), None)
        except self._av.FFmpegError:  # a truncated file: what is there is kept
            self._next = None

    def until(self, seconds: float) -> Iterator:
        """The packets that begin before a time."""
        while self._next is not None and self._next.dts * self._next.time_base - self._start < seconds:
            packet = self._next
            offset = round(self._start / packet.time_base)
            shown = packet.dts if packet.pts is None else packet.pts
            packet.pts, packet.dts, packet.stream = shown - offset, packet.dts - offset, self._stream
            yield packet
            self._take()

    def close(self) -> None:
        """Let go of the file."""
        self._input.close()
