"""Rasterise the polygons of instances after the image was resized, flipped and cropped."""

from collections.abc import Sequence

import cv2
import mmcv.transforms
import mmdet.datasets.transforms as mmdet_transforms
import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mask2former.errors import ConfigError
from mask2former.formats.rle import box_of, closed_polygons, decode_mask, encode_segmentation
from mask2former.registry import TRANSFORMS

from .color_augmentation import SSDColorAugmentation
from .instance_segments import InstanceLayers, LoadInstanceSegments
from .large_scale_jitter import LargeScaleJitter

# What keeps ``homography_matrix``, and what moves nothing: padding is at the bottom and right.
MOVING = (LargeScaleJitter, mmdet_transforms.Resize, mmdet_transforms.RandomCrop, mmdet_transforms.RandomFlip)
STILL = (SSDColorAugmentation, mmdet_transforms.PhotoMetricDistortion, mmcv.transforms.Pad)


@TRANSFORMS.register_module()
class RasterizeInstances(BaseTransform):
    """In place of ``LoadInstanceSegments`` and the transforms behind it: move polygons, and rasterise them in the end.

    A mask that is rasterised first and enlarged three times has steps of three pixels at its edge; a polygon that is
    enlarged first has none. What is annotated as RLE is a bitmap from the start, and moves with the image.

    Needs ``img`` (not resized yet), ``img_path``, ``instances``.
    Sets what the transforms set, and ``gt_seg_map`` and ``gt_seg_labels`` as ``LoadInstanceSegments`` does, but that
    instances which the crop left without a pixel still have their label; ``PackSegInputs`` drops them.

    As the reference's mapper of COCO instances, whose polygons are cut at the crop and rasterised by pycocotools, too.

    Args:
        transforms: Configs of ``LargeScaleJitter``, ``Resize``, ``RandomChoiceResize``, ``RandomResize``,
            ``RandomCrop``, ``RandomFlip``, ``Pad``, ``SSDColorAugmentation`` and ``PhotoMetricDistortion``.

    Raises:
        ConfigError: If there is another transform, of which is not known how it moves polygons.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.load_bitmaps = LoadInstanceSegments()
        self.transforms = Compose(transforms)
        for transform in self.transforms.transforms:
            # mmcv's RandomResize and RandomChoiceResize have the transform that resizes inside.
            if not isinstance(getattr(transform, 'resize', transform), MOVING + STILL):
                name = f'{type(transform).__module__}.{type(transform).__name__}'
                known = ', '.join(kind.__name__ for kind in MOVING)
                raise ConfigError(
                    f'RasterizeInstances cannot move polygons as {name} moves the image, only as {known}, RandomResize '
                    'and RandomChoiceResize do: put it behind RasterizeInstances, or use LoadInstanceSegments.'
                )

    def transform(self, results: dict) -> dict | None:
        """Transform the image, then rasterise.

        Raises:
            DataError: If a segmentation is malformed or does not fit the image.
        """
        annotated, image = results['instances'], results['img_path']
        instances = [instance for instance in annotated if not instance['iscrowd']]
        bitmaps = [dict(x, label=i) for i, x in enumerate(instances) if isinstance(x['segmentation'], dict)]
        results = self.load_bitmaps.transform(dict(results, instances=bitmaps, homography_matrix=None))
        value_of = {i: value for value, i in enumerate(results.pop('gt_seg_labels').tolist(), start=1)}
        if not bitmaps:
            del results['gt_seg_map']
        moved = self.transforms(results)
        if moved is None:
            return None
        matrix = np.eye(3) if moved['homography_matrix'] is None else moved['homography_matrix']
        size = moved['img'].shape[:2]

        layers = InstanceLayers(size, len(instances))
        labels: list[int] = []
        box: Sequence[int]
        for i, instance in enumerate(instances):
            if not isinstance(instance['segmentation'], dict):
                mask, box = rasterize(instance['segmentation'], matrix, size, image)
            elif i in value_of:
                mask = (moved['gt_seg_map'].reshape(*size, -1) == value_of[i]).any(-1)
                box = cv2.boundingRect(mask.view(np.uint8))
            else:  # a bitmap without a pixel
                continue
            labels.append(instance['label'])
            layers.add(len(labels), mask, box)
        seg_map = layers.as_map(image)
        return dict(moved, instances=annotated, gt_seg_map=seg_map, gt_seg_labels=np.array(labels, dtype=np.int64))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms})'


def rasterize(
    polygons: list, matrix: np.ndarray, size: tuple[int, int], image: str
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The mask of moved polygons: what is cut from the mask of the whole moved image.

    Args:
        polygons: ``[[x0, y0, x1, y1, ...], ...]``.
        matrix: ``(3, 3)``, how points move.
        size: ``(H, W)``.
        image: The image's path for the message.

    Returns:
        The mask ``(H, W)`` bool, and its box, xywh in pixels.

    Raises:
        DataError: If the polygons are malformed.
    """
    try:
        if not isinstance(polygons, list):
            raise TypeError
        points = [np.array(part[: len(part) // 2 * 2], np.float64).reshape(-1, 2) for part in closed_polygons(polygons)]
    except (TypeError, ValueError):
        encode_segmentation(polygons, size, image)  # says what is wrong
        raise
    points = [part @ matrix[:2, :2].T + matrix[:2, 2] for part in points]
    # pycocotools rounds negative coordinates the other way, which would change a contour where it is cut: it is shifted
    # until there are none, within limits.
    least = np.min([part.min(0) for part in points], axis=0) if points else np.zeros(2)
    x, y = (int(side) for side in np.ceil(-least).clip(0, 4 * max(size)))
    rle = encode_segmentation([(part + (x, y)).ravel() for part in points], (size[0] + y, size[1] + x), image)
    left, top, width, height = (int(side) for side in box_of(rle))
    x0, y0 = max(left - x, 0), max(top - y, 0)
    box = x0, y0, max(left + width - x - x0, 0), max(top + height - y - y0, 0)
    return decode_mask(rle)[y:, x:], box
