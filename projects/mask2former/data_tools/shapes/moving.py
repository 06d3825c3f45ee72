"""The `moving_shapes` data set: drawn videos, written to disk in YouTube-VIS's format."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mask2former.errors import ConfigError
from mask2former.formats.files import write_json
from mask2former.formats.images import write_image
from mask2former.formats.rle import areas_of, box_of, encode_mask, json_rle
from mask2former.progress import ProgressBar

from .generate import SPLITS, check_arguments
from .motion import Mover, draw_video
from .scene import CATEGORIES
from .stamped import write_stamped

_STAMP = 'moving_shapes.json'
_VERSION = 1  # raised when the same parameters give other files


def generate_moving_shapes(
    out_dir: str | os.PathLike[str],
    *,
    num_train: int,
    num_val: int,
    size: tuple[int, int] = (192, 320),
    frames: tuple[int, int] = (4, 40),
    seed: int = 0,
    num_workers: int = 1,
) -> bool:
    """Write the `moving_shapes` data set.

    Below ``out_dir``, for each split, in the layout of YouTube-VIS 2019: the frames
    ``SPLIT/JPEGImages/0000/00000.jpg`` and the annotation ``SPLIT.json``. A third of the videos stand upright, of ten
    videos one has a single frame, and crowds are marked as such. A video depends on the seed, its split, its number and
    the other parameters alone, not on how many others are written.

    ``moving_shapes.json`` holds the parameters, see :func:`~mask2former.data_tools.shapes.stamped.write_stamped`.

    Args:
        out_dir: The folder to write, made if need be.
        num_train: Number of training videos, may be 0.
        num_val: Number of validation videos, may be 0.
        size: (height, width) of most videos in pixels, each at least 32; the others have the sides swapped.
        frames: Least and largest number of frames.
        seed: Not negative; other seeds give other videos.
        num_workers: Threads that draw.

    Returns:
        Whether anything was written.

    Raises:
        ConfigError: If an argument is out of its range, or ``out_dir`` holds a `moving_shapes` data set with other
            parameters.
    """
    counts = dict(zip(SPLITS, (num_train, num_val)))
    check_arguments(counts, size, seed, num_workers)
    if not 1 <= frames[0] <= frames[1]:
        raise ConfigError(f'frames is {tuple(frames)}, but it must be (least, largest), both 1 or more.')
    out_dir = Path(out_dir)
    stamp = dict(
        version=_VERSION, num_train=num_train, num_val=num_val, size=list(size), frames=list(frames), seed=seed
    )
    plans = {split: [_Plan(seed, split, i, size, frames) for i in range(count)] for split, count in counts.items()}
    files = [out_dir / f'{split}.json' for split in plans]
    files += [path for split in plans for plan in plans[split] for path in plan.paths(out_dir)]

    def write() -> None:
        for split in plans:
            _write_split(out_dir, split, plans[split], num_workers, seed)

    return write_stamped(out_dir / _STAMP, stamp, files, write)


class _Plan:
    """What is known of a video before it is drawn."""

    def __init__(self, seed: int, split: str, index: int, size: tuple[int, int], frames: tuple[int, int]) -> None:
        self.split, self.index = split, index
        self.rng = np.random.default_rng([seed, SPLITS.index(split), index])
        upright = self.rng.uniform() < 1 / 3
        self.size = (size[1], size[0]) if upright else (size[0], size[1])
        self.length = 1 if index % 10 == 9 else int(self.rng.integers(frames[0], frames[1] + 1))

    @property
    def file_names(self) -> list[str]:
        return [f'{self.index:04d}/{number:05d}.jpg' for number in range(self.length)]

    def paths(self, out_dir: Path) -> list[Path]:
        return [out_dir / self.split / 'JPEGImages' / name for name in self.file_names]


def _write_split(out_dir: Path, split: str, plans: Sequence[_Plan], num_workers: int, seed: int) -> None:
    """Write the frames and the JSON file of a split."""
    with ThreadPoolExecutor(num_workers) as pool:  # NumPy and OpenCV let go of the interpreter lock
        drawn = pool.map(lambda plan: _write_video(plan, out_dir), plans)
        tracks = list(ProgressBar(drawn, total=len(plans), desc=split))
    videos: list[dict] = []
    annotations: list[dict] = []
    for plan, found in zip(plans, tracks):
        height, width = plan.size
        head = dict(height=height, width=width, length=plan.length)
        videos.append(dict(head, id=plan.index + 1, file_names=plan.file_names))
        for track in found:
            annotations.append(dict(head, id=len(annotations) + 1, video_id=plan.index + 1, **track))
    categories = [
        {key: category[key] for key in ('id', 'name', 'supercategory')}
        for category in CATEGORIES
        if category['isthing']
    ]
    info = dict(description=f'moving_shapes {split}, seed {seed}')
    write_json(
        out_dir / f'{split}.json',
        dict(info=info, licenses=[], videos=videos, annotations=annotations, categories=categories),
    )


def _write_video(plan: _Plan, out_dir: Path) -> list[dict[str, Any]]:
    """Write the frames of a video, and return its tracks; what is never seen is none."""
    movers, frames = draw_video(plan.rng, plan.size, plan.length)
    tracks = [_Track(mover) for mover in movers]
    for path, frame in zip(plan.paths(out_dir), frames):
        write_image(path, frame.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        for number, track in enumerate(tracks, start=1):
            track.add(frame.thing_map == number)
    return [track.annotation for track in tracks if any(track.annotation['segmentations'])]


class _Track:
    """The annotation of a thing, made frame after frame: null where it has no pixel."""

    def __init__(self, mover: Mover) -> None:
        self.annotation: dict[str, Any] = dict(category_id=mover.category_id, iscrowd=int(mover.crowd is not None))
        self.annotation |= dict(segmentations=[], bboxes=[], areas=[])

    def add(self, mask: np.ndarray) -> None:
        """Add the next frame's mask (H, W) bool."""
        values: tuple = (None, None, None)
        if mask.any():
            rle = encode_mask(mask)
            values = json_rle(rle), [int(side) for side in box_of(rle)], areas_of([rle])[0]
        for key, value in zip(('segmentations', 'bboxes', 'areas'), values):
            self.annotation[key].append(value)
