"""YouTube-VIS's average precision of video instance segmentation."""

from collections.abc import Sequence

from mask2former.errors import ConfigError
from mask2former.registry import METRICS

from .sample_fields import require_meta
from .tables import class_metrics, log_class_table
from .track_average_precision import track_average_precision
from .track_metric import TrackMetric


@METRICS.register_module()
class YouTubeVISAP(TrackMetric):
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
        super().__init__(ann_file, skip_unlabelled, collect_device, prefix)
        if not max_dets or min(max_dets) < 1:
            raise ConfigError(f"YouTubeVISAP's max_dets is {max_dets!r}: give positive integers such as (1, 10, 100).")
        self.max_dets = tuple(sorted(max_dets))
        self.classwise = classwise

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the tracks of all videos.

        Raises:
            ConfigError: A video was processed twice.
        """
        category_of = self.category_of_label()
        video_ids = self.seen_videos(results)
        labels = sorted(category_of, key=lambda label: category_of[label])
        category_ids, classes = (
            [category_of[label] for label in labels],
            [require_meta(self.dataset_meta, 'classes')[label] for label in labels],
        )
        means, of_categories = track_average_precision(
            self.true_tracks(set(video_ids), set(category_ids)),
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
