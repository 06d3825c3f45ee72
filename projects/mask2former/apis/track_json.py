"""Results of a video as COCO-video JSON, which YouTubeVISFormat reads, too."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from mask2former.formats.files import write_json
from mask2former.formats.frame_source import FrameSource
from mask2former.formats.rle import areas_of, box_of, encode_mask, json_rle
from mask2former.models.video import FrameResult


class TrackJson:
    """Collects the results of a video: ``videos``, ``images``, ``annotations`` and ``categories``.

    An annotation is what a frame shows of a track: ``instance_id`` is the same in all frames, ``bbox`` is xywh,
    ``segmentation`` a run-length encoding, ``score`` that of the frame. A track has one ``category_id`` in all of them,
    the one with the highest sum of scores. Of a semantic result a class is a track.

    Args:
        dataset_meta: Of the model.
        source: The video.
    """

    def __init__(self, dataset_meta: Mapping, source: FrameSource) -> None:
        names = zip(dataset_meta['category_ids'], dataset_meta['classes'], dataset_meta['isthing'])
        self.categories = [dict(id=key, name=name, isthing=int(thing)) for key, name, thing in names]
        self.source = source
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self._votes: defaultdict[int, Counter] = defaultdict(Counter)

    def add(self, result: FrameResult) -> None:
        """Add the result of a frame."""
        height, width = result.frame.shape[:2]
        name = self.source.frame_name(result.index)
        image = dict(id=len(self.images) + 1, video_id=1, frame_id=result.index, time=result.time, file_name=name)
        self.images.append(dict(image, height=height, width=width))
        for track in _segments(result):
            self._votes[track['id']][track['label']] += track['score']
            self.annotations.append(
                dict(
                    id=len(self.annotations) + 1,
                    image_id=image['id'],
                    video_id=1,
                    instance_id=track['id'],
                    score=round(track['score'], 5),
                    iscrowd=0,
                    area=areas_of([track['segmentation']])[0],
                    bbox=box_of(track['segmentation']),
                    segmentation=json_rle(track['segmentation']),
                )
            )

    def content(self) -> dict[str, Any]:
        """All of it, as ``json.dump`` takes it."""
        best = {track: votes.most_common(1)[0][0] for track, votes in self._votes.items()}
        annotations = [
            dict(annotation, category_id=self.categories[best[annotation['instance_id']]]['id'])
            for annotation in self.annotations
        ]
        video = dict(id=1, name=self.source.name, fps=self.source.fps, length=len(self.images))
        return dict(videos=[video], images=self.images, annotations=annotations, categories=self.categories)

    def write(self, path: str | os.PathLike) -> None:
        """Write the file."""
        write_json(os.fspath(path), self.content())


def _segments(result: FrameResult) -> Iterator[dict]:
    """``dict(id, label, score, segmentation)`` of everything that a frame shows."""
    yield from result.tracks
    if result.id_map is not None:
        id_map = result.id_map.numpy()
        for info in result.segments_info:
            yield dict(info, segmentation=encode_mask(id_map == info['id']))
    if result.sem_seg is not None:
        labels = result.sem_seg.numpy()
        for label in result.sem_seg.unique().tolist():
            yield dict(id=label + 1, label=label, score=1.0, segmentation=encode_mask(labels == label))
