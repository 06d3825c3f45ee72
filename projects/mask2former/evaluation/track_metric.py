"""What the metrics of tracks share: the ground truth of a file, and tracks that fit it."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mask2former.datasets.youtube_vis import labelled_frames
from mask2former.errors import ConfigError, DataError
from mask2former.formats.rle import encode_segmentation
from mask2former.formats.video_json import read_video_json

from .sample_fields import image_name, require_meta, require_tracks
from .track_average_precision import frame_areas, mean_area


class TrackMetric(BaseMetric):
    """A metric of ``pred_tracks`` of each video. Only the videos that were processed are evaluated.

    Args:
        ann_file: The JSON file of the videos' tracks; None takes that of the data set (:meth:`use_dataset`).
        skip_unlabelled: Whether predictions do not count in frames in which nothing at all is annotated; None takes
            what the data set says, or else false.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it
    predicted = 'pred_tracks'

    def __init__(
        self, ann_file: str | None, skip_unlabelled: bool | None, collect_device: str, prefix: str | None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.skip_unlabelled = skip_unlabelled
        self.ann_file = ann_file
        self.truth: dict[str, Any] | None = None
        if ann_file is not None:  # now, so that a wrong path shows before the training and not after its first epoch
            self._read_truth(ann_file)

    def _read_truth(self, ann_file: str) -> None:
        content = read_video_json(ann_file)
        if content['annotations'] is None:
            raise DataError(
                f"'{ann_file}' has no 'annotations' to evaluate by: give {type(self).__name__} another ann_file, or "
                'write the results for the test server.'
            )
        self.ann_file, self.truth = ann_file, content
        self.videos = {video['id']: video for video in content['videos']}
        self.labelled = labelled_frames(content['annotations'])

    def use_dataset(self, dataset: Any) -> None:
        """Take the ground truth from the file of a data set of videos, unless ``ann_file`` names one."""
        if getattr(dataset, 'form', None) == 'video':
            if self.skip_unlabelled is None:
                self.skip_unlabelled = dataset.skip_unlabelled
            if self.truth is None:
                self._read_truth(dataset.ann_file)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep of each video ``dict(video_id, tracks)``.

        Raises:
            ConfigError: There is no ground truth, or a video is none of it.
            DataError: A sample lacks its tracks, or they do not fit the video.
        """
        category_of = self.category_of_label()
        for sample in data_samples:
            tracks = require_tracks(sample)
            video = self.videos.get(sample.get('video_id'))
            if video is None:
                raise ConfigError(
                    f"{image_name(sample)} is no video of '{self.ann_file}': give the annotation file of the split "
                    'that is evaluated.'
                )
            self.results.append(
                dict(
                    video_id=video['id'],
                    tracks=[
                        dict(
                            video_id=video['id'],
                            category_id=category_of[int(track['label'])],
                            score=float(track['score']),
                            segmentations=self._checked(track['segmentations'], video),
                        )
                        for track in tracks
                        if int(track['label']) in category_of
                    ],
                )
            )

    def _checked(self, segmentations: Sequence[dict | None], video: dict) -> list[dict | None]:
        """The masks of a track, None in frames that do not count."""
        length, size = len(video['file_names']), [video['height'], video['width']]
        if len(segmentations) != length:
            raise DataError(
                f'A predicted track of video {video["id"]!r} has {len(segmentations)} masks, but the video has '
                f'{length} frames: give one for each, None where the object is not seen.'
            )
        for rle in segmentations:
            if rle and list(rle['size']) != size:
                raise DataError(
                    f'A predicted mask of video {video["id"]!r} is {tuple(rle["size"])} (H, W), but the video is '
                    f'{tuple(size)}: predict at the original size (ori_shape).'
                )
        counted = self.labelled.get(video['id'], set()) if self.skip_unlabelled else range(length)
        return [rle if rle and place in counted else None for place, rle in enumerate(segmentations)]

    def seen_videos(self, results: list[dict]) -> list:
        """The ids of the videos that were processed.

        Raises:
            ConfigError: A video was processed twice.
        """
        name, video_ids = type(self).__name__, [result['video_id'] for result in results]
        if len(set(video_ids)) < len(video_ids):
            raise ConfigError(f'{name} got a video twice: use a sampler that shows each video once.')
        if len(video_ids) < len(self.videos):
            print_log(
                f"{name} evaluates the {len(video_ids)} videos seen, of {len(self.videos)} in '{self.ann_file}'.",
                logger='current',
            )
        return video_ids

    def true_tracks(self, video_ids: set, category_ids: set) -> list[dict]:
        """The tracks of some videos and categories, their masks run-length encoded."""
        assert self.truth is not None
        tracks = []
        for track in self.truth['annotations']:
            if track['video_id'] in video_ids and track['category_id'] in category_ids:
                video = self.videos[track['video_id']]
                size = video['height'], video['width']
                frames = [
                    encode_segmentation(segmentation, size, name) if segmentation else None
                    for segmentation, name in zip(track['segmentations'], video['file_names'])
                ]
                area = mean_area(track['areas'] if 'areas' in track else frame_areas(frames))
                keys = ('video_id', 'category_id', 'iscrowd')
                tracks.append(dict({key: track[key] for key in keys}, area=area, segmentations=frames))
        return tracks

    def category_of_label(self) -> dict[int, int]:
        """The category id of every label that is evaluated."""
        if self.truth is None:
            raise ConfigError(
                f'{type(self).__name__} has no ground truth: give it an ann_file, or test on a data set of videos.'
            )
        known = {category['id'] for category in self.truth['categories']}
        ids = require_meta(self.dataset_meta, 'category_ids')
        mapping = {label: category for label, category in enumerate(ids) if category in known}
        if not mapping:
            raise ConfigError(
                f"No category of '{self.ann_file}' is a class of the data set: give the annotation file of this data "
                "set, or fix the metainfo's category_ids."
            )
        return mapping
