"""HOTA and the switches of ids of video instance segmentation, by the package trackeval."""

import importlib
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from types import ModuleType

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.errors import ConfigError, MissingPackageError
from mask2former.registry import METRICS

from .track_metric import TrackMetric


@METRICS.register_module()
class TrackHOTA(TrackMetric):
    """HOTA, its parts DetA and AssA, and the CLEAR metrics MOTA and IDSW of ``pred_tracks``, by trackeval's own code.

    They measure a decision, not a ranking: only tracks with a score of ``score_thr`` or more count. Each class is
    evaluated alone, with the IoU of the masks of a frame, and all detections of all classes are averaged over, as
    trackeval does for YouTube-VIS; crowd is left out.

    Sources: Luiten et al., HOTA, IJCV 2021, https://arxiv.org/abs/2009.07736; Bernardin and Stiefelhagen, CLEAR MOT,
    2008.

    Args:
        ann_file: The JSON file of the videos' tracks; None takes that of the data set.
        score_thr: Least score of a track, in [0, 1].
        skip_unlabelled: Whether predictions do not count in frames in which nothing at all is annotated; None takes
            what the data set says, or else false.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``HOTA, DetA, AssA, LocA, MOTA`` in percent, the first four as means over the thresholds
    0.05 to 0.95, the fifth at an IoU of 0.5; and ``IDSW``, the number of switches.

    Raises:
        MissingPackageError: trackeval is not installed.
        ConfigError: ``score_thr`` is out of range.
    """

    def __init__(
        self,
        *,
        ann_file: str | None = None,
        score_thr: float = 0.5,
        skip_unlabelled: bool | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(ann_file, skip_unlabelled, collect_device, prefix)
        if not 0 <= score_thr <= 1:
            raise ConfigError(f"TrackHOTA's score_thr is {score_thr}: give a number from 0 to 1.")
        self.score_thr = score_thr
        self.package = trackeval_metrics()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Let trackeval evaluate each class of each video, and average.

        Raises:
            ConfigError: A video was processed twice.
        """
        video_ids, category_ids = self.seen_videos(results), set(self.category_of_label().values())
        truth = [track for track in self.true_tracks(set(video_ids), category_ids) if not track['iscrowd']]
        found = [track for result in results for track in result['tracks'] if track['score'] >= self.score_thr]
        metrics = dict(HOTA=self.package.HOTA(), CLEAR=self.package.CLEAR(dict(PRINT_CONFIG=False)))
        of_class: dict[str, dict] = {name: {} for name in metrics}
        for category in sorted({track['category_id'] for track in [*truth, *found]}):
            videos = {}
            for video_id in video_ids:
                true, guessed = (
                    [t['segmentations'] for t in side if (t['video_id'], t['category_id']) == (video_id, category)]
                    for side in (truth, found)
                )
                videos[video_id] = detections(true, guessed, len(self.videos[video_id]['file_names']))
            for name, metric in metrics.items():
                parts = {video_id: metric.eval_sequence(data) for video_id, data in videos.items()}
                of_class[name][category] = metric.combine_sequences(parts)
        if not of_class['HOTA']:
            return dict(HOTA=-1.0, DetA=-1.0, AssA=-1.0, LocA=-1.0, MOTA=-1.0, IDSW=0.0)
        hota, clear = (metric.combine_classes_det_averaged(of_class[name]) for name, metric in metrics.items())
        values = {name: 100 * float(np.mean(hota[name])) for name in ('HOTA', 'DetA', 'AssA', 'LocA')}
        return dict(values, MOTA=100 * float(clear['MOTA']), IDSW=float(clear['IDSW']))


def detections(truth: Sequence[Sequence], found: Sequence[Sequence], length: int) -> dict:
    """A video as trackeval takes it: for each frame the ids of what it shows, and the IoUs of the pairs.

    Args:
        truth: The masks, RLE or None, of each true track.
        found: Those of each track that was found.
        length: Frames.
    """
    sides = {'gt': [_shown(track) for track in truth], 'tracker': [_shown(track) for track in found]}
    data: dict = dict(num_timesteps=length, similarity_scores=[])
    frames: dict[str, list] = {}
    for name, tracks in sides.items():
        tracks = [track for track in tracks if any(track)]  # ids are of what is seen at all
        frames[name] = tracks
        data[f'{name}_ids'] = [
            np.array([number for number, track in enumerate(tracks) if track[place]], dtype=int)
            for place in range(length)
        ]
        data[f'num_{name}_ids'] = len(tracks)
        data[f'num_{name}_dets'] = sum(len(ids) for ids in data[f'{name}_ids'])
    for place in range(length):
        masks = [[frames[name][number][place] for number in data[f'{name}_ids'][place]] for name in ('gt', 'tracker')]
        ious = mask_utils.iou(*masks, [0] * len(masks[1])) if all(masks) else np.zeros([len(side) for side in masks])
        data['similarity_scores'].append(np.asarray(ious, dtype=float))
    return data


def _shown(track: Sequence) -> list:
    """The masks of a track, those without a pixel as None."""
    return [rle if rle and mask_utils.area(rle) else None for rle in track]


def trackeval_metrics() -> ModuleType:
    """trackeval's module of metrics.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        with redirect_stdout(io.StringIO()):  # it prints what it cannot import itself, of no use here
            return importlib.import_module('trackeval.metrics')
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'TrackHOTA needs the package trackeval ({error}): pip install --no-deps trackeval tabulate'
        ) from None
