"""YouTube-VIS's average precision of video instance segmentation."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mask2former.datasets.youtube_vis import labelled_frames
from mask2former.errors import ConfigError, DataError
from mask2former.formats.rle import encode_segmentation
from mask2former.formats.video_json import read_video_json
from mask2former.registry import METRICS

from .sample_fields import image_name, require_meta, require_tracks
from .tables import class_metrics, log_class_table
from .track_average_precision import frame_areas, mean_area, track_average_precision


@METRICS.register_module()
class YouTubeVISAP(BaseMetric):
    """AP and AR of ``pred_tracks`` of each video, by the rules of YouTube-VIS and OVIS.

    The IoU is that of whole tracks: the pixels that they share in all frames by those of either. Only the videos that
    were processed are evaluated, and one without tracks has missed what is in it. Masks are kept run-length encoded.

    Args:
        ann_file: The JSON file of the videos' tracks; None takes that of the data set (:meth:`use_dataset`).
        max_dets: Limits of tracks a video and category, for which AR is given; AP counts the largest one.
        skip_unlabelled: Whether predictions do not count in frames in which nothing at all is annotated; None takes
            what the data set says, or else false.
        classwise: Whether to print a table of every class, and to give ``track_mAP/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``track_mAP, track_mAP_50, track_mAP_75``; ``track_mAP_s, track_mAP_m, track_mAP_l`` of
    tracks of a mean area below 128², to 256² and above; ``track_AR_1, track_AR_10, track_AR_100``; and ``track_AR_s,
    track_AR_m, track_AR_l``; in percent, or -1 where there is no true track of that size.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it

    def __init__(
        self,
        *,
        ann_file: str | None = None,
        max_dets: Sequence[int] = (1, 10, 100),
        skip_unlabelled: bool | None = None,
        classwise: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not max_dets or min(max_dets) < 1:
            raise ConfigError(f"YouTubeVISAP's max_dets is {max_dets!r}: give positive integers such as (1, 10, 100).")
        self.max_dets = tuple(sorted(max_dets))
        self.skip_unlabelled = skip_unlabelled
        self.classwise = classwise
        self.ann_file = ann_file
        self.truth: dict[str, Any] | None = None
        if ann_file is not None:  # now, so that a wrong path shows before the training and not after its first epoch
            self._read_truth(ann_file)

    def _read_truth(self, ann_file: str) -> None:
        content = read_video_json(ann_file)
        if content['annotations'] is None:
            raise DataError(
                f"'{ann_file}' has no 'annotations' to evaluate by: give YouTubeVISAP another ann_file, or write the "
                'results for the test server.'
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
        category_of = self._category_of_label()
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

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the tracks of all videos.

        Raises:
            ConfigError: A video was processed twice.
        """
        category_of = self._category_of_label()
        video_ids = [result['video_id'] for result in results]
        if len(set(video_ids)) < len(video_ids):
            raise ConfigError('YouTubeVISAP got a video twice: use a sampler that shows each video once.')
        if len(video_ids) < len(self.videos):
            print_log(
                f"YouTubeVISAP evaluates the {len(video_ids)} videos seen, of {len(self.videos)} in '{self.ann_file}'.",
                logger='current',
            )
        labels = sorted(category_of, key=lambda label: category_of[label])
        category_ids, classes = (
            [category_of[label] for label in labels],
            [require_meta(self.dataset_meta, 'classes')[label] for label in labels],
        )
        means, of_categories = track_average_precision(
            self._true_tracks(set(video_ids), set(category_ids)),
            [track for result in results for track in result['tracks']],
            video_ids,
            category_ids,
            self.max_dets,
        )
        metrics = {f'track_{name}': 100 * value if value >= 0 else value for name, value in means.items()}
        if self.classwise:
            present = of_categories['mAP'] > -1
            columns = {name.replace('m', '').replace('_', ''): 100 * v for name, v in of_categories.items()}
            log_class_table('Track AP of each class', classes, columns, present)
            metrics.update(class_metrics('track_mAP', classes, columns['AP'], present))
        return metrics

    def _true_tracks(self, video_ids: set, category_ids: set) -> list[dict]:
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

    def _category_of_label(self) -> dict[int, int]:
        """The category id of every label that is evaluated."""
        if self.truth is None:
            raise ConfigError('YouTubeVISAP has no ground truth: give it an ann_file, or test on a data set of videos.')
        known = {category['id'] for category in self.truth['categories']}
        ids = require_meta(self.dataset_meta, 'category_ids')
        mapping = {label: category for label, category in enumerate(ids) if category in known}
        if not mapping:
            raise ConfigError(
                f"No category of '{self.ann_file}' is a class of the data set: give the annotation file of this data "
                "set, or fix the metainfo's category_ids."
            )
        return mapping
