"""Inference on large images in overlapping tiles, for results of every kind."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.formats.rle import box_of
from mask2former.registry import MODELS, TRANSFORMS
from mask2former.tiles import Instance, SegmentMap, Tile, TileGrid, TileMerger, check_tiles


@MODELS.register_module()
class SegTileModel(BaseTTAModel):
    """Runs a model on the tiles of each image, one at a time, and merges what they give; see :class:`TileMerger`.

    Tiles are cut from the image as it is, and each goes through the rest of the test pipeline as if it were an image.
    Of an image that fits into one tile results are the plain model's, bit for bit.

    Args:
        module: The model, or its config; it may be one for test-time augmentation.
        pipeline: Transforms of a tile, as a test pipeline has them behind what loads: resizing, packing.
        tile: Side of a tile, in pixels of the image file.
        overlap: What neighbours share at least.
        min_iou: Things that two tiles saw are one if their masks, in the pixels that both tiles have, overlap so much.
        data_preprocessor: Replaces the model's.

    Raises:
        ConfigError: If an option cannot be.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        pipeline: Sequence[dict | BaseTransform],
        tile: int,
        overlap: int,
        min_iou: float = 0.5,
        data_preprocessor: dict | None = None,
    ) -> None:
        check_tiles(tile, overlap, min_iou)
        super().__init__(module, data_preprocessor)
        self.transforms = [TRANSFORMS.build(transform) for transform in pipeline]
        self.tile, self.overlap, self.min_iou = tile, overlap, min_iou

    @torch.no_grad()
    def test_step(self, data: dict) -> list[DetDataSample]:
        """Results of a batch.

        Args:
            data: ``inputs``, B whole images (bands, H, W) that nothing has resized, and ``data_samples``.

        Returns:
            list[DetDataSample]: The same data samples, on the CPU, with predictions at the images' original sizes.
        """
        return [self._predict(planes, sample) for planes, sample in zip(data['inputs'], data['data_samples'])]

    def merge_preds(self, data_samples_list: list) -> list:
        """Not in use: results are merged as they come."""
        raise NotImplementedError

    def _predict(self, planes: Tensor, sample: DetDataSample) -> DetDataSample:
        size = (planes.shape[1], planes.shape[2])
        if size != tuple(sample.ori_shape[:2]):
            raise ConfigError(
                f'SegTileModel cuts the image as it is, but the test pipeline has made {size[0]} x {size[1]} (H x W) '
                f'of {sample.ori_shape[0]} x {sample.ori_shape[1]}: let its own pipeline resize the tiles.'
            )
        grid = TileGrid(size, self.tile, self.overlap)
        merger = TileMerger(grid, self.min_iou)
        result = sample.cpu()
        for tile in grid.tiles:
            image = np.ascontiguousarray(planes[:, tile.rows, tile.columns].permute(1, 2, 0).cpu().numpy())
            found = self.predict_tile(image, tile, sample)
            if len(grid.tiles) == 1:
                for field in merger.fields_of(found):
                    setattr(result, field, found.get(field))
                return result
            merger.add(tile, found)
        if 'pred_panoptic_seg' in merger.fields:
            result.pred_panoptic_seg = panoptic_result(merger.panoptic())
        if 'pred_instances' in merger.fields:
            result.pred_instances = instance_result(merger.instances())
        if 'pred_sem_seg' in merger.fields:
            result.pred_sem_seg = semantic_result(merger.semantic())
        return result

    def predict_tile(self, image: np.ndarray, tile: Tile, sample: DetDataSample) -> DetDataSample:
        """The result of a tile, on the CPU.

        Args:
            image: Its pixels (h, w, bands), as the pipeline of an image has them.
            tile: The tile.
            sample: The data sample of the image, for messages.
        """
        results = dict(img=image, img_shape=tile.shape, ori_shape=tile.shape)
        results |= {key: sample.get(key) for key in ('img_path', 'img_id', 'bands') if key in sample}
        for transform in self.transforms:
            results = transform(results)
        [found] = self.module.test_step(pseudo_collate([results]))
        return found.cpu()


def panoptic_result(segment_map: SegmentMap) -> PixelData:
    """``pred_panoptic_seg`` of a whole image."""
    id_map = np.concatenate([ids for _, ids in segment_map.strips()])
    infos = segment_map.segments_info()
    return PixelData(id_map=torch.from_numpy(id_map)[None], metainfo=dict(segments_info=infos))


def instance_result(instances: Sequence[Instance]) -> InstanceData:
    """``pred_instances`` of a whole image."""
    boxes = torch.tensor([box_of(instance.rle) for instance in instances], dtype=torch.float32).view(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return InstanceData(
        labels=torch.tensor([instance.label for instance in instances], dtype=torch.int64),
        scores=torch.tensor([instance.score for instance in instances], dtype=torch.float32),
        bboxes=boxes,
        masks=[instance.rle for instance in instances],
    )


def semantic_result(segment_map: SegmentMap) -> PixelData:
    """``pred_sem_seg`` of a whole image."""
    labels = np.array([-1, *(segment.label for segment in segment_map.segments)])
    sem_seg = np.concatenate([labels[ids] for _, ids in segment_map.strips()])
    return PixelData(sem_seg=torch.from_numpy(sem_seg)[None])
