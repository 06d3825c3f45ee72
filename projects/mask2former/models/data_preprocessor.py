"""From single images and targets to a normalised, padded batch."""

import logging
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.registry import MODELS

LEAST_SHARE = 0.25  # of a batch that is images, below which the padding is said
LEAST_SIDE = 1024  # pixels; batches of smaller images cost little
SHOWN = 8  # images in a message


@MODELS.register_module()
class SegDataPreprocessor(BaseDataPreprocessor):
    """Normalise images, pad them and their targets at the right and bottom to one size, and stack them.

    Masks are formed here, on the model's device: until then targets are one compact map an image.

    Args:
        mean: Mean of R, G and B, or of each band.
        std: Standard deviation of the same.
        bgr_to_rgb: Whether images of three bands come as BGR; others keep their order.
        size_divisor: Height and width of a batch are multiples of it.
        pad_val: Colour of the padding, of R, G and B or of each band, before it is normalised; the mean by default.
        max_padding: How many times the pixels of its images, each padded alone, a batch may have; batches of small
            images may have more.

    Raises:
        ConfigError: If ``pad_val`` is not as long as ``mean``.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        bgr_to_rgb: bool = True,
        size_divisor: int = 32,
        pad_val: Sequence[float] | None = None,
        max_padding: float = 16,
    ) -> None:
        super().__init__()
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        if pad_val is not None and len(pad_val) != len(mean):
            raise ConfigError(
                f'SegDataPreprocessor: pad_val {tuple(pad_val)} must have {len(mean)} values, as mean has.'
            )
        padding = torch.tensor(mean if pad_val is None else pad_val, dtype=torch.float32).view(-1, 1, 1)
        self.register_buffer('padding', (padding - self.mean) / self.std, persistent=False)
        self.bgr_to_rgb = bgr_to_rgb
        self.size_divisor, self.max_padding = size_divisor, max_padding
        self._said = False

    def forward(self, data: dict, training: bool = False) -> dict:
        """Make a batch.

        Args:
            data: ``inputs``, a list of B images (bands, H, W) of integers or float32, and ``data_samples``, a list or
                None.
            training: Whether the batch is for training.

        Returns:
            dict: ``inputs`` (B, bands, H, W) float32 and ``data_samples`` with ``batch_input_shape``. In place of
            ``gt_seg_map.id_map`` (n, h, w) and ``gt_segments.ids`` (N,), a sample has ``gt_segments.masks`` bool:
            (N, H, W) in training, else (N, h, w).

        Raises:
            ConfigError: If an image has another number of bands than ``mean``, or nearly all of the batch is padding.
        """
        data = self.cast_data(data)
        images: list[Tensor] = data['inputs']
        for bands in {len(image) for image in images} - {len(self.mean)}:
            raise ConfigError(
                f'An image has {bands} bands, but model.data_preprocessor normalises {len(self.mean)}: give mean and '
                f'std of {bands} entries, and in_channels={bands} to the backbone, or set bands of LoadImage.'
            )
        samples = data.get('data_samples')
        H, W = (self._multiple(max(image.shape[i] for image in images)) for i in (-2, -1))
        self._mind_padding(images, samples, H, W)
        batch = images[0].new_empty((len(images), len(self.mean), H, W), dtype=self.mean.dtype)
        batch.copy_(self.padding)
        for image, slot in zip(images, batch):
            h, w = image.shape[-2:]
            slot = slot[:, :h, :w]
            slot.copy_(image.flip(0) if self.bgr_to_rgb and len(image) == 3 else image)
            slot.sub_(self.mean).div_(self.std)  # in place: without it, three more images of float32
        for sample in samples or []:
            sample.set_metainfo(dict(batch_input_shape=(H, W)))
            if 'gt_seg_map' in sample:
                form_masks(sample)
            if training and 'gt_segments' in sample:
                masks = sample.gt_segments.masks  # (N, h, w)
                if masks.shape[-2:] != (H, W):  # without it, F.pad copies all the masks
                    sample.gt_segments.masks = F.pad(masks, (0, W - masks.shape[-1], 0, H - masks.shape[-2]))
        return dict(inputs=batch, data_samples=samples)

    def _multiple(self, side: int) -> int:
        return math.ceil(side / self.size_divisor) * self.size_divisor

    def _mind_padding(self, images: Sequence[Tensor], samples: Sequence[DetDataSample] | None, H: int, W: int) -> None:
        """Bound the padding of a batch, and say once where it is most of it: memory and time are that of the padding.

        Raises:
            ConfigError: If one wide and one high image, say, would make a batch of another order of size.
        """
        alone = sum(self._multiple(image.shape[-2]) * self._multiple(image.shape[-1]) for image in images)
        share = alone / (len(images) * H * W)
        if share >= LEAST_SHARE or H * W <= LEAST_SIDE**2:
            return
        refused = share * self.max_padding < 1
        if not refused and self._said:
            return
        names = [f' of {sample.img_path}' if 'img_path' in sample else '' for sample in samples or []]
        shown = list(zip(images, names or [''] * len(images)))[:SHOWN]
        sizes = ', '.join(f'{image.shape[-2]} x {image.shape[-1]}{name}' for image, name in shown)
        fix = (
            'Resize or crop the images in the pipeline, group them by '
            "batch_sampler=dict(type='AspectRatioBatchSampler') in the dataloader, or set its batch_size to 1"
        )
        padded = f'A batch is padded to {H} x {W} pixels, of which {share:.1%} are images ({sizes})'
        if refused:
            raise ConfigError(f'{padded}. {fix}, or raise model.data_preprocessor.max_padding.')
        self._said = True
        print_log(f'{padded}: memory and time go into the padding. {fix}.', 'current', logging.WARNING)


def form_masks(sample: DetDataSample) -> None:
    """Replace ``gt_seg_map`` and the ``ids`` of ``gt_segments`` by ``masks`` (N, H, W) bool."""
    sample.gt_segments.masks = id_masks(sample.gt_seg_map.id_map, sample.gt_segments.ids)
    del sample.gt_segments.ids, sample.gt_seg_map


def id_masks(layers: Tensor, ids: Tensor) -> Tensor:
    """Where one of the layers (n, H, W) has each of the ids (N,): (N, H, W) bool."""
    masks = _equal(layers[0], ids)
    for layer in layers[1:]:
        masks |= _equal(layer, ids)
    return masks


def _equal(layer: Tensor, ids: Tensor) -> Tensor:
    """``layer (H, W) == ids (N,)``: (N, H, W) bool. torch's CPU code compares into bool ten times slower than this."""
    equal = layer.new_empty((len(ids), *layer.shape), dtype=torch.uint8)
    return torch.eq(layer, ids[:, None, None], out=equal).view(torch.bool)
