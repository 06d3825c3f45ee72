"""YouTube-VIS's average precision over tracks in memory: COCO's matching and curves with an IoU over a whole video."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.cocoeval import COCOeval

from mask2former.formats.rle import areas_of

from .coco_average_precision import coco_from

# Mean areas of tracks, in pixels: not COCO's 32 and 96.
AREAS = dict(all=(0, 1e5**2), small=(0, 128**2), medium=(128**2, 256**2), large=(256**2, 1e5**2))
Frames = Sequence[dict | None]  # run-length encodings, None where the object is not seen


class TrackEvaluation(COCOeval):
    """COCO's evaluator, for which an image is a video and an annotation a track."""

    def computeIoU(self, imgId, catId) -> list | np.ndarray:  # noqa: N802, N803
        """The IoUs ``(found, truth)`` of the tracks of a category in a video, the found ones by falling score."""
        truth, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not truth and not found:
            return []
        order = np.argsort([-track['score'] for track in found], kind='mergesort')[: self.params.maxDets[-1]]
        return track_ious([found[i]['segmentations'] for i in order], [track['segmentations'] for track in truth])


def track_ious(found: Sequence[Frames], truth: Sequence[Frames]) -> np.ndarray:
    """The IoU of each pair of tracks: their common pixels in all frames by the pixels of either in all frames.

    Pairs of masks whose boxes do not meet are not looked at; no bitmap is made.

    Returns:
        ``(found, truth)`` float64; 0 where both are empty.
    """
    rows, columns = [_Boxed(track) for track in found], [_Boxed(track) for track in truth]
    ious = np.zeros((len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            common = row.common(column)
            union = row.areas.sum() + column.areas.sum() - common
            ious[i, j] = common / union if union else 0.0
    return ious


class _Boxed:
    """A track with the area ``(T,)`` and the box ``(T, 4)`` xyxy of each frame's mask."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.areas = frame_areas(frames)
        self.boxes = np.zeros((len(frames), 4))
        shown = np.flatnonzero(self.areas).tolist()
        if shown:
            self.boxes[shown] = mask_utils.toBbox([frames[place] for place in shown])
            self.boxes[:, 2:] += self.boxes[:, :2]

    def common(self, other: '_Boxed') -> int:
        """The pixels that two tracks share."""
        corner = np.maximum(self.boxes[:, :2], other.boxes[:, :2])  # (T, 2)
        far = np.minimum(self.boxes[:, 2:], other.boxes[:, 2:])
        shared = np.flatnonzero((corner < far).all(axis=1)).tolist()
        return sum(
            int(mask_utils.area(mask_utils.merge([self.frames[place], other.frames[place]], True))) for place in shared
        )


def frame_areas(frames: Frames) -> np.ndarray:
    """The pixels of a track in each frame, ``(T,)`` int64."""
    shown = [place for place, rle in enumerate(frames) if rle]
    areas = np.zeros(len(frames), dtype=np.int64)
    areas[shown] = areas_of([rle for rle in frames if rle])
    return areas


def mean_area(areas: Sequence[float | None] | np.ndarray) -> float:
    """The area of a track: the mean over the frames where it is not 0 or unknown; 0 where there is none."""
    shown = [area for area in areas if area]
    return float(np.mean(shown)) if shown else 0.0


def track_average_precision(
    truth: Sequence[dict],
    found: Sequence[dict],
    video_ids: Sequence,
    category_ids: Sequence[int],
    max_dets: Sequence[int] = (1, 10, 100),
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Evaluate tracks by the rules of YouTube-VIS (Yang et al., Video Instance Segmentation, ICCV 2019, section 3).

    Args:
        truth: ``dict(video_id, category_id, iscrowd, area, segmentations)`` of each true track, the area as
            :func:`mean_area` has it. Crowd is matched by the plain IoU, and what matches it does not count.
        found: ``dict(video_id, category_id, score, segmentations)`` of each track that was found, of these videos and
            categories. May be empty.
        video_ids: The videos to evaluate.
        category_ids: The categories to evaluate.
        max_dets: Limits of tracks a video and category; AP counts the largest one.

    Returns:
        ``mAP, mAP_50, mAP_75, mAP_s, mAP_m, mAP_l``, of each limit n ``AR_{n}``, and ``AR_s, AR_m, AR_l``, in [0, 1],
        and -1 where there is no true track of that size. And ``mAP, mAP_50, mAP_75, AR`` of each category,
        ``(categories,)`` in the order of ``category_ids``.
    """
    videos = [dict(id=video_id) for video_id in video_ids]
    categories = [dict(id=category_id) for category_id in category_ids]
    sides = [
        coco_from(videos, [dict(track, image_id=track['video_id']) for track in tracks], categories)
        for tracks in (truth, [dict(t, area=mean_area(frame_areas(t['segmentations'])), iscrowd=0) for t in found])
    ]
    with redirect_stdout(io.StringIO()):
        evaluation = TrackEvaluation(*sides, iouType='bbox')  # 'segm' would look for the masks of single images
        params = evaluation.params
        params.imgIds, params.catIds, params.maxDets = list(video_ids), list(category_ids), sorted(max_dets)
        params.areaRng, params.areaRngLbl = [list(bounds) for bounds in AREAS.values()], list(AREAS)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision']  # (IoU thresholds, recalls, categories, areas, limits)
    recall = evaluation.eval['recall']  # (IoU thresholds, categories, areas, limits)
    order = np.searchsorted(params.catIds, category_ids)  # the evaluator sorts them

    def mean(values: np.ndarray) -> float:
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    at = [slice(None), np.isclose(params.iouThrs, 0.5), np.isclose(params.iouThrs, 0.75)]
    means = {name: mean(precision[rows, ..., 0, -1]) for name, rows in zip(('mAP', 'mAP_50', 'mAP_75'), at)}
    means |= {f'mAP_{name[0]}': mean(precision[..., i, -1]) for i, name in enumerate(AREAS) if i}
    means |= {f'AR_{limit}': mean(recall[..., 0, i]) for i, limit in enumerate(params.maxDets)}
    means |= {f'AR_{name[0]}': mean(recall[..., i, -1]) for i, name in enumerate(AREAS) if i}
    of_categories = {
        name: np.array([mean(precision[rows][:, :, k, 0, -1]) for k in order])
        for name, rows in zip(('mAP', 'mAP_50', 'mAP_75'), at)
    }
    return means, of_categories | dict(AR=np.array([mean(recall[:, k, 0, -1]) for k in order]))
