"""The end of a pipeline of clips: as that of images, with a frame axis."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.errors import ConfigError, DataError
from mask2former.registry import TRANSFORMS

from .pack import image_planes, pack_seg_map


@TRANSFORMS.register_module()
class PackClipInputs(BaseTransform):
    """Pack a clip into ``dict(inputs (T, N, H, W), data_samples DetDataSample)``.

    The inputs are as those of :class:`PackSegInputs`, frame by frame.

    Where the tracks were loaded, the data sample has ``gt_segments`` (``labels (N,)`` int64, ``ids (N,)``) and
    ``gt_seg_map`` (``PixelData(id_map (T * n, H, W))`` uint8 or int16, n layers of the first frame, then those of the
    next): the mask of a track in a frame is where one of the frame's layers has its id.

    Where they were not, but the data set has them, it has ``gt_tracks``, for pictures: of each track ``dict(label,
    iscrowd, segmentations)`` with T segmentations as the file writes them, None where the object is not seen.

    Its metainfo has ``video_id``, ``video_length``, ``frame_ids (T,)``, ``img_paths (T,)``, ``ori_shape`` and
    ``img_shape``.

    Args:
        meta_keys: What to copy from the first frame into the metainfo, too; absent ones are left out.
        min_area: Pixels which a track must have in one of the frames to be kept; 0 keeps those which the augmentation
            left without a pixel, as targets whose masks are empty.

    Raises:
        ConfigError: If ``min_area`` is negative.
    """

    def __init__(
        self, meta_keys: Sequence[str] = ('scale_factor', 'flip', 'flip_direction', 'bands'), min_area: int = 1
    ) -> None:
        if min_area < 0:
            raise ConfigError(
                f'PackClipInputs: min_area is {min_area}; give a number of pixels, 0 to keep empty masks.'
            )
        self.meta_keys = tuple(meta_keys)
        self.min_area = min_area

    def transform(self, results: dict) -> dict:
        """Pack one clip.

        Raises:
            DataError: If the transforms left frames of different sizes.
        """
        clip = results['clip']
        shapes = {frame['img'].shape for frame in clip}
        if len(shapes) > 1:
            raise DataError(
                f'The frames of video {results["video_id"]!r} have the sizes {sorted(shape[:2] for shape in shapes)} '
                'after the transforms; those of a clip need one: let TransformClip be shared, or end it with one size.'
            )
        planes = [image_planes(frame['img'], keep_dtype='bands' in frame) for frame in clip]  # (N, H, W) each
        inputs = torch.stack([torch.from_numpy(plane) for plane in planes])  # (T, N, H, W)
        sample = DetDataSample()
        if 'gt_seg_map' in clip[0]:
            layers, kept = self._pack_tracks(clip)
            sample.gt_segments = InstanceData(
                labels=torch.from_numpy(clip[0]['gt_seg_labels'][kept]),
                ids=torch.from_numpy((kept + 1).astype(layers.dtype)),
            )
            sample.gt_seg_map = PixelData(id_map=torch.from_numpy(layers))
        elif 'instances' in results:  # of a test
            sample.gt_tracks = [
                dict(
                    label=track['label'],
                    iscrowd=track['iscrowd'],
                    segmentations=[track['segmentations'][place] for place in results['frame_ids']],
                )
                for track in results['instances']
            ]
        shape = tuple(int(side) for side in clip[0]['ori_shape'][:2])
        sample.set_metainfo(
            dict(
                video_id=results['video_id'],
                video_length=len(results['frames']),
                frame_ids=tuple(results['frame_ids']),
                img_paths=tuple(frame['img_path'] for frame in clip),
                ori_shape=shape,
                img_shape=tuple(inputs.shape[-2:]),
                **{key: clip[0][key] for key in self.meta_keys if key in clip[0]},
            )
        )
        return dict(inputs=inputs, data_samples=sample)

    def _pack_tracks(self, clip: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
        """The layers ``(T * n, H, W)``, and which of the tracks ``(M,)`` are large enough in one of the frames."""
        num_tracks = len(clip[0]['gt_seg_labels'])
        packed = [pack_seg_map(frame['gt_seg_map'], num_tracks, self.min_area) for frame in clip]
        most = max(len(layers) for layers, _ in packed)
        filled = [np.pad(layers, ((0, most - len(layers)), (0, 0), (0, 0))) for layers, _ in packed]  # (n, H, W) each
        kept = np.unique(np.concatenate([kept for _, kept in packed]))
        return np.concatenate(filled), kept

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys}, min_area={self.min_area})'
