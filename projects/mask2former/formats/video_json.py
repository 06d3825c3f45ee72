"""Annotation files of videos: YouTube-VIS's JSON as it is, and COCO-video JSON, which is brought into its form.

YouTube-VIS has an entry of ``annotations`` for each track, with lists ``segmentations``, ``bboxes`` and ``areas`` as
long as the video, null where the object is not seen. COCO-video JSON (of mmdet, TAO and others) has ``images`` that
name their ``video_id`` and an entry of ``annotations`` for each object and image, with an ``instance_id``.
"""

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mask2former.errors import DataError

from .coco_values import is_number, is_side
from .files import read_json

# The names that COCO-video files have for the place of a frame in its video, and for what an object is told by.
FRAME_KEYS = ('frame_id', 'frame_index', 'order_in_video')
TRACK_KEYS = ('instance_id', 'track_id')
LISTS = dict(segmentations='segmentation', bboxes='bbox', areas='area')


def read_video_json(path: str | Path) -> dict[str, Any]:
    """Read the annotations of videos.

    Returns:
        ``videos``, a list of ``dict(id, height, width, file_names)``; ``annotations``, a list of ``dict(id, video_id,
        category_id, iscrowd, segmentations)``, and ``bboxes`` and ``areas`` where the file has them, or None where the
        file has none at all, as those of a test; and ``categories``.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is neither kind of file, or an entry is wrong; the message names it.
    """
    content = read_json(path)
    at = _Entry()
    try:
        if any('video_id' in image for image in at.walk(content.get('images') or ())):
            content = _tracks_of_images(content, at, path)
        if not isinstance(content.get('videos'), list):
            raise DataError(
                f"Annotation file '{path}' has no 'videos'; give a YouTube-VIS file, or a COCO file whose 'images' "
                "have a 'video_id'."
            )
        lengths: dict[Any, int] = {}
        videos, tracks = [], []
        for video in at.walk(content['videos']):
            videos.append(_video(video, lengths, path))
        seen: dict[Any, Any] = {}
        for track in at.walk(content.get('annotations') or ()):
            tracks.append(_track(track, lengths, seen, path))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"An entry of '{path}' is malformed ({type(error).__name__}: {error}); correct it: "
            f'{reprlib.repr(at.entry)}.'
        ) from error
    unknown = content.get('annotations') is None
    return dict(videos=videos, annotations=None if unknown else tracks, categories=content.get('categories') or [])


class _Entry:
    """Knows which entry of a file is being looked at, for the message of what is wrong there."""

    entry: Any = None

    def walk(self, entries: Iterable) -> Iterator:
        """The entries, one after another."""
        for self.entry in entries:
            yield self.entry


def _video(video: Mapping, lengths: dict[Any, int], path: str | Path) -> dict:
    """Check an entry of ``videos``, and note its length."""
    for key in ('id', 'height', 'width', 'file_names'):
        if key not in video:
            raise DataError(f"Video {reprlib.repr(video)} in '{path}' has no '{key}'; add it to the entry.")
    name = f"Video {video['id']!r} in '{path}'"
    if video['id'] in lengths:
        raise DataError(f"Video id {video['id']!r} occurs twice in '{path}'; give each video its own id.")
    if not video['file_names']:
        raise DataError(f'{name} has no frame in its file_names; add them or remove it.')
    if not isinstance(video['file_names'], list) or not all(isinstance(x, str) for x in video['file_names']):
        raise DataError(f'{name} has file_names that are no list of names; give the file of each frame.')
    for side in ('height', 'width'):
        if not is_side(video[side]):
            raise DataError(f'{name} has the {side} {video[side]!r}; give a number of pixels.')
    lengths[video['id']] = len(video['file_names'])
    return {key: video[key] for key in ('id', 'height', 'width', 'file_names')}


def _track(track: Mapping, lengths: Mapping[Any, int], seen: dict[Any, Any], path: str | Path) -> dict:
    """Check an entry of ``annotations``."""
    name = f"Annotation {track.get('id')!r} in '{path}'"
    if track.get('segmentations') is None:
        raise DataError(
            f"{name} has no 'segmentations'; give one segmentation or null for each frame of its video"
            f'{", or images with a video_id to a file of single images" if "segmentation" in track else ""}.'
        )
    for key in ('id', 'video_id', 'category_id'):
        if track.get(key) is None:
            raise DataError(f"{name} has no '{key}'; add it.")
        hash(track[key])  # a list or an object is no id
    if track['video_id'] not in lengths:
        raise DataError(
            f"{name} has video_id {track['video_id']!r}, which no entry of 'videos' has; add the video or remove the "
            'annotation.'
        )
    length = lengths[track['video_id']]
    for key in LISTS:
        if track.get(key) is not None and not isinstance(track[key], list):
            raise DataError(f'{name} has {key} that are no list; give one for each frame.')
        if track.get(key) is not None and len(track[key]) != length:
            raise DataError(
                f'{name} has {len(track[key])} {key}, but video {track["video_id"]!r} has {length} frames; give one '
                'for each frame, null where the object is not seen.'
            )
    if not all(area is None or is_number(area) for area in track.get('areas') or ()):
        raise DataError(f'{name} has areas that are no numbers; correct them, or leave them out: masks say them, too.')
    if track['id'] in seen:
        was = seen[track['id']]
        change = f', of category {was} and of {track["category_id"]}' if was != track['category_id'] else ''
        raise DataError(
            f'{name} is there twice{change}; give each track one entry, with a segmentation for each frame, and its '
            'own id.'
        )
    seen[track['id']] = track['category_id']
    kept = {key: track[key] for key in ('id', 'video_id', 'category_id', *LISTS) if track.get(key) is not None}
    return dict(kept, segmentations=track['segmentations'], iscrowd=int(track.get('iscrowd') or 0))


def _tracks_of_images(content: Mapping, at: _Entry, path: str | Path) -> dict[str, Any]:
    """A COCO-video file in the form of YouTube-VIS's."""
    frames: dict[Any, list[Mapping]] = {}
    ids: set[Any] = set()
    for image in at.walk(content['images']):
        frames.setdefault(image['video_id'], []).append(image)
        if image['id'] in ids:
            raise DataError(f"Image id {image['id']!r} occurs twice in '{path}'; give each image its own id.")
        ids.add(image['id'])
    place_of: dict[Any, tuple[Any, int]] = {}
    videos = []
    for video_id, images in frames.items():
        images = _in_order(images, at, path)
        for image in at.walk(images):
            if (image['height'], image['width']) != (images[0]['height'], images[0]['width']):
                raise DataError(
                    f"Image {image['id']!r} in '{path}' is {image['height']} x {image['width']} (H x W), but video "
                    f'{video_id!r} begins with {images[0]["height"]} x {images[0]["width"]}; the frames of a video '
                    'must have one size.'
                )
        place_of |= {image['id']: (video_id, place) for place, image in enumerate(images)}
        sides = {side: images[0][side] for side in ('height', 'width')}
        videos.append(dict(id=video_id, file_names=[image['file_name'] for image in at.walk(images)], **sides))
    annotations = content.get('annotations')
    tracks = None if annotations is None else _join(at.walk(annotations), place_of, frames, path)
    return dict(videos=videos, annotations=tracks, categories=content.get('categories'))


def _in_order(images: list[Mapping], at: _Entry, path: str | Path) -> list[Mapping]:
    """The images of a video in the order of time, or in that of the file where nothing says it."""
    key = next((key for key in FRAME_KEYS if any(key in image for image in images)), None)
    if key is None:
        return images
    of_place: dict[float, Mapping] = {}
    for image in at.walk(images):
        place = image[key]
        if not is_number(place):
            raise DataError(f"Image {image['id']!r} in '{path}' has the {key} {place!r}; give the frame's number.")
        if place in of_place:
            raise DataError(
                f"Images {of_place[place]['id']!r} and {image['id']!r} of video {image['video_id']!r} in '{path}' have "
                f'the same {key}, {place}; give each frame its own, in the order of time.'
            )
        of_place[place] = image
    return [of_place[place] for place in sorted(of_place)]


def _join(
    annotations: Iterable[Mapping],
    place_of: Mapping[Any, tuple[Any, int]],
    frames: Mapping[Any, list],
    path: str | Path,
) -> list[dict]:
    """Join the annotations of single frames to tracks, which are numbered from 1 on."""
    tracks: dict[tuple, dict] = {}
    for annotation in annotations:
        name = f"Annotation {annotation.get('id')!r} in '{path}'"
        key = next((key for key in TRACK_KEYS if annotation.get(key) is not None), None)
        if key is None:
            raise DataError(f"{name} has no 'instance_id'; give all annotations of an object in a video the same one.")
        if annotation['image_id'] not in place_of:
            raise DataError(f"{name} has image_id {annotation['image_id']!r}, which no entry of 'images' has; add it.")
        if annotation.get('segmentation') is None:
            raise DataError(f"{name} has no 'segmentation'; only data with masks can be used.")
        video_id, place = place_of[annotation['image_id']]
        length = len(frames[video_id])
        new = dict(id=len(tracks) + 1, video_id=video_id, category_id=annotation['category_id'])
        track = tracks.setdefault(
            (video_id, annotation[key]), dict(new, iscrowd=0, **{key: [None] * length for key in LISTS})
        )
        if track['category_id'] != annotation['category_id']:
            raise DataError(
                f'{name} has category_id {annotation["category_id"]!r}, but {key} {annotation[key]!r} of video '
                f'{video_id!r} has {track["category_id"]!r} before; an object has one class in all frames: correct it.'
            )
        if track['segmentations'][place] is not None:
            raise DataError(
                f'{name} is the second one of {key} {annotation[key]!r} in image {annotation["image_id"]!r}; give each '
                'object of a video its own.'
            )
        for many, one in LISTS.items():
            track[many][place] = annotation.get(one)
        track['iscrowd'] |= int(annotation.get('iscrowd') or 0)
    for track in tracks.values():
        for key in ('bboxes', 'areas'):  # boxes and areas of some frames only are not those of the track
            if any(a is not None and b is None for a, b in zip(track['segmentations'], track[key])):
                del track[key]
    return list(tracks.values())
