"""From clips and their tracks to a normalised, padded batch."""

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.errors import ConfigError
from mask2former.models.data_preprocessor import SegDataPreprocessor, id_masks
from mask2former.registry import MODELS


@MODELS.register_module()
class ClipDataPreprocessor(SegDataPreprocessor):
    """A :class:`SegDataPreprocessor` for clips."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """Make a batch.

        Args:
            data: ``inputs``, a list of B clips (T, 3, H, W) uint8, and ``data_samples``, a list or None.
            training: Whether the batch is for training.

        Returns:
            dict: ``inputs`` (B, T, 3, H, W) float32 and ``data_samples`` with ``batch_input_shape``. In place of
            ``gt_seg_map.id_map`` (T*n, h, w) and ``gt_segments.ids`` (N,), a sample has ``gt_segments.masks`` bool:
            (N, T, H, W) in training, else (N, T, h, w).

        Raises:
            ConfigError: If the clips have different numbers of frames.
        """
        data = self.cast_data(data)
        clips, samples = data['inputs'], data.get('data_samples')
        lengths = sorted({len(clip) for clip in clips})
        if len(lengths) > 1:
            raise ConfigError(
                f'The clips of a batch have {", ".join(map(str, lengths))} frames: set num_frames of SampleFrames, or '
                'batch_size=1 for whole videos.'
            )
        frames = super().forward(dict(inputs=[frame for clip in clips for frame in clip]))['inputs']
        H, W = frames.shape[-2:]
        for sample in samples or []:
            sample.set_metainfo(dict(batch_input_shape=(H, W)))
            if 'gt_seg_map' in sample:
                form_track_masks(sample, lengths[0])
            if training and 'gt_segments' in sample:
                h, w = sample.gt_segments.masks.shape[-2:]
                sample.gt_segments.masks = F.pad(sample.gt_segments.masks, (0, W - w, 0, H - h))
        return dict(inputs=frames.unflatten(0, (len(clips), lengths[0])), data_samples=samples)


def form_track_masks(sample: DetDataSample, num_frames: int) -> None:
    """Replace ``gt_seg_map`` and the ``ids`` of ``gt_segments`` by ``masks`` (N, T, H, W) bool."""
    ids = sample.gt_segments.ids  # (N,)
    frames = sample.gt_seg_map.id_map.unflatten(0, (num_frames, -1))  # (T, n, H, W)
    sample.gt_segments.masks = torch.stack([id_masks(layers, ids) for layers in frames], 1)
    del sample.gt_segments.ids, sample.gt_seg_map
