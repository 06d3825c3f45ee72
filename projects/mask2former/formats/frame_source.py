"""A video as frames that are read one after another: what every kind of source has in common."""

import contextlib
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from mask2former.errors import DataError

Decode = Callable[[], np.ndarray]
T = TypeVar('T')

SILENCE = 10.0  # seconds without an answer after which an address is given up


class Frame(NamedTuple):
    """A frame: its place in the video, counted from 0 with those that are left out; its time in seconds; and its image
    (H, W, 3) uint8 in the order BGR."""

    place: int
    time: float
    image: np.ndarray


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


def reduce_image(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """An image whose longest side is at most ``max_side``."""
    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
