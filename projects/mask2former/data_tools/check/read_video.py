"""Reads the JSON file of a split of videos: to a check, a frame is an image and what it shows of a track a segment."""

from dataclasses import replace
from typing import Any

from mask2former.datasets.youtube_vis import YouTubeVISFormat
from mask2former.formats.video_json import LISTS, read_video_json

from .kinds import Problems
from .read_coco import read_content
from .source import Settings, Source


def read_video(dataset: YouTubeVISFormat, settings: Settings) -> Source:
    """Read the split of a data set that was built with ``lazy_init=True``.

    Frames have ids such as ``'7/0'``: that of the video, and the place in it. A frame without a track is sound, a video
    without one is not.

    Args:
        dataset: Says where the files are, and its metainfo what is learnt.
        settings: What else the config says of it.

    Raises:
        MissingFileError: The annotation file is absent.
        DataError: It is no file of videos, or one of its entries is wrong: of these the first is named.
    """
    content, problems = read_video_json(dataset.ann_file), Problems()
    images = [
        dict(id=f'{video["id"]}/{place}', file_name=name, height=video['height'], width=video['width'])
        for video in content['videos']
        for place, name in enumerate(video['file_names'])
    ]
    raw: dict[str, Any] = dict(videos=content['videos'], images=images, categories=content['categories'])
    if content['annotations'] is not None:
        raw['annotations'] = [_segment(track, place) for track in content['annotations'] for place in _places(track)]
        shown = {track['video_id'] for track in content['annotations']}
        for video in content['videos']:
            if video['id'] not in shown:
                problems.add('no annotation', None, f'video {video["id"]} has no track')
    return replace(read_content(raw, dataset, settings, problems), num_videos=len(content['videos']))


def _places(track: dict) -> list[int]:
    return [place for place, segmentation in enumerate(track['segmentations']) if segmentation]


def _segment(track: dict, place: int) -> dict:
    """What a frame shows of a track, as an instance annotation of COCO's."""
    values = {one: track[many][place] for many, one in LISTS.items() if track.get(many)}
    known = {key: value for key, value in values.items() if value is not None}
    keys = ('id', 'category_id', 'iscrowd')
    return dict({key: track[key] for key in keys}, image_id=f'{track["video_id"]}/{place}', **known)
