"""Tracks of a clip: the best pairs of query and class, as in the reference."""

from collections.abc import Iterable, Sequence

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.models.masks import Masks
from mask2former.models.masks.strip_rle import StripEncoder
from mask2former.models.postprocess.instance import best_pairs
from mask2former.registry import TASK_UTILS

from .query_tracker import Clip


@TASK_UTILS.register_module()
class TrackTopK:
    """The pairs of query and class with the highest class score, which is the track's score.

    Args:
        max_per_video: Pairs taken before stuff is left out.
        score_thr: Tracks of a lower score are left out.
    """

    predicts = 'pred_tracks'

    def __init__(self, max_per_video: int = 10, score_thr: float = 0.0) -> None:
        self.max_per_video = max_per_video
        self.score_thr = score_thr

    def __call__(self, clips: Iterable[Clip], isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_tracks``.

        Args:
            clips: The clips of a video, one after the other. The last one says the classes of the tracks. Of a video in
                several clips the masks of all queries are encoded, for it is not known yet which are the best.
            isthing: Of every class, whether it is a thing; others are no tracks.
            sample: Where the result goes: a list of ``dict(score, label, segmentations)``, of each track T run-length
                encodings, None where it has no pixel.
        """
        encoded: list[list[dict | None]] = []  # T times n
        for clip in clips:
            scores, labels, queries = best_pairs(clip.class_logits, self.max_per_video, isthing, self.score_thr)
            formed = torch.arange(len(clip.class_logits), device=queries.device)
            if clip.whole:  # several classes may share a query
                formed, queries = queries.unique(return_inverse=True)
            encoded += [encode_masks(masks, formed) for masks in clip.masks]
        sample.pred_tracks = [
            dict(score=score, label=label, segmentations=[frame[query] for frame in encoded])
            for score, label, query in zip(scores.tolist(), labels.tolist(), queries.tolist())
        ]


def encode_masks(masks: Masks, queries: Tensor) -> list[dict | None]:
    """Run-length encodings of the masks of ``queries`` (n,) in a frame, None where a mask is empty."""
    encoder = StripEncoder(len(queries), *masks.ori_shape)
    for columns, query_index, logits in masks.columns(queries):  # (columns, n', H)
        encoder.add(columns, query_index, logits > 0)
    rles, boxes = encoder.finish()
    return [rle if box[2] > box[0] else None for rle, box in zip(rles, boxes.tolist())]
