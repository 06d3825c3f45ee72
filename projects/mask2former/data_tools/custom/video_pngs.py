"""Converts folders of frames with a PNG of ids for each frame, as DAVIS and MOTS have them, to YouTube-VIS's format.

::

    OUT/{train,val}.json
    OUT/{train,val}/JPEGImages/VIDEO/*.jpg|png
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.files import link_or_copy, write_json
from mask2former.formats.images import check_size, image_size
from mask2former.formats.rle import areas_of, box_of, encode_mask, json_rle
from mask2former.formats.video_frames import natural_key
from mask2former.progress import ProgressBar

from .png_folders import find_images, find_png

SIZE_FIX = 'the PNG of a frame must have its size'


@dataclass(frozen=True)
class Ids:
    """What the values of the PNG files mean; 0 is nothing.

    Attributes:
        thing: Class of all objects; the value is then the object.
        divisor: A value is class * divisor + n; of no use where ``thing`` is given.
        classes: The ids of the classes.
        void: Values that mean nothing.
    """

    thing: int | None
    divisor: int | None
    classes: frozenset[int]
    void: frozenset[int]

    def class_of(self, value: int, path: Path) -> int:
        """The class of an object.

        Raises:
            DataError: If it is none of the classes; the message names the PNG.
        """
        category_id = self.thing if self.thing is not None else value // (self.divisor or 1)
        if category_id not in self.classes:
            raise DataError(
                f"'{path}' has the value {value}, whose class {category_id} is none of --classes; add it there, or the "
                'value to --void if it means nothing.'
            )
        return category_id


@dataclass(frozen=True)
class Video:
    """The frames of a video in order, and the PNG of each, None of a frame that is not annotated."""

    name: str
    frames: tuple[Path, ...]
    pngs: tuple[Path | None, ...]


def find_videos(frames: Path, masks: Path, img_suffix: str | None = None, png_suffix: str = '.png') -> list[Video]:
    """The videos: a folder with images below ``frames`` is one, whose PNG files have the same path below ``masks``.

    Its frames are in the natural order of their names, ``frame2`` before ``frame10``.

    Raises:
        MissingFileError: If there is no such folder, or a video has no PNG at all.
        DataError: If there is no image.
    """
    of_folder: dict[Path, list[Path]] = {}
    for path in find_images(frames, img_suffix):
        of_folder.setdefault(path.parent, []).append(path)
    videos = []
    for folder, paths in of_folder.items():
        paths.sort(key=lambda path: natural_key(path.name))
        name = folder.relative_to(frames).as_posix() if folder != frames else frames.resolve().name
        pngs = tuple(_png_of(masks, path, frames, img_suffix, png_suffix) for path in paths)
        if not any(pngs):
            raise MissingFileError(
                f"No frame of '{folder}' has a PNG below '{masks}', such as "
                f"'{masks / paths[0].relative_to(frames).with_suffix(png_suffix)}'; correct the folder or "
                '--png-suffix, or leave the video out.'
            )
        videos.append(Video(name, tuple(paths), pngs))
    return videos


def _png_of(masks: Path, path: Path, root: Path, img_suffix: str | None, png_suffix: str) -> Path | None:
    try:
        return find_png(masks, path, root, img_suffix, png_suffix)
    except MissingFileError:
        return None


def read_tracks(video: Video, ids: Ids) -> tuple[tuple[int, int], list[dict]]:
    """The size (H, W) of a video, and ``category_id, iscrowd, segmentations, bboxes, areas`` of each of its tracks.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file cannot be read, the sizes differ, or a value has no meaning; the message names the file.
    """
    size = image_size(video.frames[0])
    tracks: dict[int, dict[str, Any]] = {}
    for place, (frame, png) in enumerate(zip(video.frames, video.pngs)):
        check_size(f"'{frame}'", image_size(frame), video.frames[0], size, 'the frames of a video must have one size')
        if png is None:
            continue
        values = read_class_ids(png)
        check_size(f"'{png}'", values.shape, frame, size, SIZE_FIX)
        for value in np.unique(values).tolist():
            if value == 0 or value in ids.void:
                continue
            if value not in tracks:
                lists = {key: [None] * len(video.frames) for key in ('segmentations', 'bboxes', 'areas')}
                tracks[value] = dict(category_id=ids.class_of(value, png), iscrowd=0, **lists)
            rle = encode_mask(values == value)
            tracks[value]['segmentations'][place] = json_rle(rle)
            tracks[value]['bboxes'][place] = box_of(rle)
            tracks[value]['areas'][place] = areas_of([rle])[0]
    return size, [tracks[value] for value in sorted(tracks)]


def write_videos(
    videos: Sequence[Video],
    splits: Sequence[str],
    ids: Ids,
    categories: Sequence[dict],
    out: Path,
    *,
    copy: bool = False,
    jobs: int = 1,
) -> str:
    """Convert all videos and write the JSON files, which are there only if everything is.

    Args:
        videos: The videos.
        splits: 'train' or 'val' of each.
        ids: What the PNG files mean.
        categories: ``id`` and ``name`` of each class.
        out: The folder to write.
        copy: Whether to copy the frames; they are linked else.
        jobs: Threads.

    Returns:
        What was written, for people.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file is not as it must be; the message names it.
    """

    def convert(video: Video, split: str) -> tuple[tuple[int, int], list[dict]]:
        size, tracks = read_tracks(video, ids)
        for frame in video.frames:
            link_or_copy(frame, out / split / 'JPEGImages' / video.name / frame.name, copy)
        return size, tracks

    with ThreadPoolExecutor(jobs) as pool:
        converted = list(ProgressBar(pool.map(convert, videos, splits), total=len(videos), desc='videos'))
    lines = []
    for split in sorted(set(splits)):
        entries: list[dict] = []
        annotations: list[dict] = []
        for video, of_split, (size, tracks) in zip(videos, splits, converted):
            if of_split == split:
                head = dict(height=size[0], width=size[1], length=len(video.frames))
                names = [f'{video.name}/{frame.name}' for frame in video.frames]
                entries.append(dict(head, id=len(entries) + 1, file_names=names))
                annotations += [dict(head, video_id=len(entries), **track) for track in tracks]
        numbered = [dict(annotation, id=number) for number, annotation in enumerate(annotations, start=1)]
        path = out / f'{split}.json'
        write_json(path, dict(videos=entries, annotations=numbered, categories=list(categories)))
        lines.append(f'{path}: {len(entries)} videos, {len(categories)} classes, {len(numbered)} tracks.')
    bare = sum(png is None for video in videos for png in video.pngs)
    if bare:
        lines.append(f'{bare} frames have no PNG: read the data with skip_unlabelled=True, or they count as empty.')
    return '\n'.join(lines)
