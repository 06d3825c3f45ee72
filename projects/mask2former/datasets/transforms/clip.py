"""Read the frames of a clip and the masks of its tracks, and transform them as images are transformed."""

import copy
import random
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mask2former.formats.images import check_size
from mask2former.formats.rle import box_of, decode_mask, encode_segmentation
from mask2former.registry import TRANSFORMS

from .image import LoadImage
from .instance_segments import InstanceLayers


@TRANSFORMS.register_module()
class LoadFrames(BaseTransform):
    """Read the frames of a clip; a frame that is there several times is read once.

    Needs ``frames`` and ``frame_ids``.
    Sets ``clip``, a list of one dict for each frame with what image transforms need: ``img`` ``(H, W, 3)`` uint8 BGR,
    ``img_path``, ``img_shape`` and ``ori_shape``; with ``bands`` as :class:`LoadImage` sets it.

    Args:
        color_type: As of :class:`~mask2former.datasets.transforms.LoadImage`.
        backend_args: As of :class:`~mask2former.datasets.transforms.LoadImage`.
        bands: As of :class:`~mask2former.datasets.transforms.LoadImage`.
    """

    def __init__(self, color_type: str = 'color', backend_args: dict | None = None, bands: int | None = None) -> None:
        self.load = LoadImage(color_type=color_type, backend_args=backend_args, bands=bands)

    def transform(self, results: dict) -> dict:
        """Read the frames.

        Raises:
            MissingFileError: If a frame is absent.
            DataError: If a frame cannot be read, or has not the size of the first one or of the annotation file.
        """
        read: dict[int, dict] = {}
        for place in results['frame_ids']:
            if place not in read:
                frame = self.load.transform(dict(img_path=results['frames'][place]))
                assert frame is not None, 'ignore_empty is false'
                stated = (results['height'], results['width'])
                check_size(
                    f'Video {results["video_id"]!r} in the annotation file',
                    stated,
                    frame['img_path'],
                    frame['img_shape'],
                    'all frames of a video must have the size that the file says: correct it there, or the frame',
                )
                read[place] = frame
        return dict(results, clip=[dict(read[place], img=read[place]['img'].copy()) for place in results['frame_ids']])

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.load})'


@TRANSFORMS.register_module()
class LoadTrackSegments(BaseTransform):
    """Rasterise the tracks of a clip for training; crowd and tracks that no frame of the clip shows are left out.

    A track has one number in all frames, and the label that the data set says, whichever frames show it.

    Needs ``clip`` (not resized yet), ``frame_ids`` and ``instances``.
    Sets in each frame of ``clip`` ``gt_seg_map`` ``(H, W)``, or ``(H, W, n)`` where tracks overlap, uint8, or uint16
    for many tracks: 0 is void, ``i`` is track ``i - 1``; and ``gt_seg_labels`` ``(N,)`` int64.
    """

    def transform(self, results: dict) -> dict:
        """Rasterise the tracks.

        Raises:
            DataError: If a segmentation is malformed or does not fit the frame; the message names the frame.
        """
        tracks = [track for track in results['instances'] if not track['iscrowd']]
        tracks = [track for track in tracks if any(track['segmentations'][place] for place in results['frame_ids'])]
        shown: list[list[tuple[int, dict]]] = [
            self._encode(frame, tracks, place) for frame, place in zip(results['clip'], results['frame_ids'])
        ]
        seen = sorted({number for masks in shown for number, _ in masks})
        value_of = {number: value for value, number in enumerate(seen, start=1)}
        labels = np.array([tracks[number]['label'] for number in seen], dtype=np.int64)
        for frame, masks in zip(results['clip'], shown):
            layers = InstanceLayers(frame['img'].shape[:2], len(seen))
            for number, rle in masks:
                layers.add(value_of[number], decode_mask(rle), [int(side) for side in box_of(rle)])
            frame.update(gt_seg_map=layers.as_map(frame['img_path']), gt_seg_labels=labels)
        return results

    @staticmethod
    def _encode(frame: dict, tracks: Sequence[dict], place: int) -> list[tuple[int, dict]]:
        """The number of each track that has pixels in a frame, and its RLE there."""
        masks = []
        for number, track in enumerate(tracks):
            if track['segmentations'][place]:
                rle = encode_segmentation(track['segmentations'][place], frame['img'].shape[:2], frame['img_path'])
                if any(box_of(rle)):
                    masks.append((number, rle))
        return masks


@TRANSFORMS.register_module()
class TransformClip(BaseTransform):
    """Apply transforms of images to every frame of a clip.

    Args:
        transforms: Configs of transforms of ``img`` and ``gt_seg_map``.
        shared: Whether all frames are transformed alike: each gets the random numbers that the first one got, of
            ``random`` and of ``numpy.random``. Otherwise each frame draws its own.
    """

    def __init__(self, transforms: Sequence[dict], shared: bool = True) -> None:
        self.transforms = Compose(transforms)
        self.shared = shared

    def transform(self, results: dict) -> dict | None:
        """Transform the frames; None where a transform gives up one of them."""
        state = random.getstate(), np.random.get_state()
        clip = []
        for frame in results['clip']:
            if self.shared:
                random.setstate(state[0])
                np.random.set_state(state[1])
            frame = self.transforms(copy.copy(frame))
            if frame is None:
                return None
            clip.append(frame)
        return dict(results, clip=clip)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms}, shared={self.shared})'
