"""What one visitor may ask for, so that the page stays there for all."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mask2former.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Limits of size, rate and time.

    Attributes:
        image_mb: Largest image file, in megabytes.
        megapixels: Most pixels of an image, which are counted before it is decoded.
        image_side: Longest side in pixels; larger images are reduced.
        url_seconds: How long fetching an image from an address may take altogether.
        video_mb: Largest video file, in megabytes.
        video_side: Longest side of its frames in pixels; larger ones are reduced.
        video_frames: Most frames of a video that are tracked; the others are left out.
        video_seconds: How long a video may take; what is done until then is the result.
        per_minute: How often a visitor may ask the model, or for a download from an address, in a minute.
        waiting: How many requests may wait for the model.
        visitors: Whose results are kept at a time; beyond that the oldest ones are forgotten.
    """

    image_mb: float = 20
    megapixels: float = 50
    image_side: int = 4096
    url_seconds: float = 15
    video_mb: float = 64
    video_side: int = 960
    video_frames: int = 300
    video_seconds: float = 120
    per_minute: int = 30
    waiting: int = 16
    visitors: int = 64


class RateLimit:
    """Counts what each visitor asked for in the last minute.

    Args:
        per_minute: How often each may ask.
        clock: Gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._asked: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def ask(self, visitor: str) -> None:
        """Count a request.

        Raises:
            UserError: If it is one too many.
        """
        with self._lock:
            now = self._clock()
            self._asked = {who: times for who, times in self._asked.items() if times[-1] > now - 60}
            times = self._asked.setdefault(visitor, deque())
            while times and times[0] <= now - 60:
                times.popleft()
            if len(times) >= self.per_minute:
                wait = round(times[0] + 60 - now) or 1
                raise UserError(f'More than {self.per_minute} requests in a minute: go on in {wait} s.')
            times.append(now)
