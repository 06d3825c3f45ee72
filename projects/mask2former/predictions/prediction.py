"""The result of an image: its segments, with everything that tools want to know of them."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from PIL import Image

from mask2former.errors import ConfigError
from mask2former.formats.image_rows import georeference_of, write_geotiff
from mask2former.formats.panoptic_png import write_id_map
from mask2former.formats.rle import areas_of, box_of, decode_crop, decode_mask, json_rle

from . import exchange


@dataclass(frozen=True)
class Segment:
    """A thing, or all that is seen of a stuff class.

    Attributes:
        id: Unique in its image, from 1.
        label: Name of its class.
        category_id: Of the class in the data set that the model was trained on.
        isthing: Whether it is a thing.
        score: In 0 .. 1; None where nothing says it, as of semantic results.
        rle: Its mask in COCO's compressed run-length encoding.
    """

    id: int
    label: str
    category_id: int
    isthing: bool
    score: float | None
    rle: dict = field(repr=False)

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(areas_of([self.rle])[0])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """``(x, y, width, height)`` in pixels."""
        x, y, width, height = (float(value) for value in box_of(self.rle))
        return x, y, width, height

    @property
    def mask(self) -> np.ndarray:
        """``(H, W)`` bool."""
        return decode_mask(self.rle)

    @property
    def polygons(self) -> list[np.ndarray]:
        """The outer outlines, ``(n, 2)`` xy each, n at least 3, through the centres of the pixels at the border, as
        OpenCV has them: filled with it they are the mask. Holes are left out; of a line the last point is repeated."""
        crop, top, left = decode_crop(self.rle)
        contours, _ = cv2.findContours(np.ascontiguousarray(crop, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        points = [contour[:, 0] + np.array([left, top], float) for contour in contours]  # (n, 2)
        return [np.pad(outline, ((0, max(0, 3 - len(outline))), (0, 0)), mode='edge') for outline in points]


@dataclass(frozen=True)
class Prediction:
    """What a model found in an image.

    Attributes:
        path: The image file; None of an array.
        segments: Things by score, then stuff by area; of instance results overlaps are possible.
        task: 'panoptic', 'instance' or 'semantic'.
        sample: All results, at the size of the image.
        draw: Draws the image and, beside it, the results: ``(height, width, 3)`` uint8 RGB.
    """

    path: Path | None
    segments: tuple[Segment, ...]
    task: str
    sample: DetDataSample = field(repr=False)
    draw: Callable[[], np.ndarray] = field(repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.sample.ori_shape
        return height, width

    @property
    def name(self) -> str:
        """The file name; 'image.png' of an array."""
        return self.path.name if self.path else 'image.png'

    def save(self, path: str | os.PathLike) -> Path:
        """Write the drawing to an image file, or into a folder under the name of the image; returns the file.

        Raises:
            ConfigError: If that is the image itself.
        """
        path = Path(path)
        if path.is_dir() or not path.suffix:
            path = path / f'{Path(self.name).stem}.jpg'
        if self.path is not None and path.exists() and path.samefile(self.path):
            raise ConfigError(f"The drawing would overwrite the image '{path}': give another file or folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.draw()).save(path, quality=95)
        return path

    def to_coco(self, image_id: int | str) -> list[dict]:
        """COCO's results of the image: ``image_id``, ``category_id``, ``score``, ``segmentation``.

        ``pycocotools.COCO.loadRes`` reads a list of these, and makes boxes and areas of the masks. With a ``bbox`` it
        would take the area of that, so that masks would count as larger than they are. What has no score gets 1.
        """
        return [
            dict(
                image_id=image_id,
                category_id=segment.category_id,
                score=1.0 if segment.score is None else segment.score,
                segmentation=json_rle(segment.rle),
            )
            for segment in self.segments
        ]

    def to_panoptic_png(self, path: str | os.PathLike) -> list[dict]:
        """Write COCO's panoptic PNG, a pixel's segment is R + 256 G + 65536 B; returns its ``segments_info``.

        Raises:
            ConfigError: If segments overlap, as those of instance results may.
        """
        self._write_map(Path(path))
        return [
            dict(id=s.id, category_id=s.category_id, area=s.area, bbox=[int(v) for v in s.box], iscrowd=0)
            for s in self.segments
        ]

    def to_geotiff(self, path: str | os.PathLike) -> Path | None:
        """Write the ids of segments as a GeoTIFF where the image lies on earth; None if its file does not say where.

        Raises:
            ConfigError: If segments overlap.
        """
        where = None if self.path is None else georeference_of(self.path)
        if where is None:
            return None
        write_geotiff(Path(path), self.strips(), self.size, where)
        return Path(path)

    def strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The map in strips from the top: which rows, and their ids ``(rows, W)`` int32, see :meth:`id_map`."""
        yield slice(0, self.size[0]), self.id_map()

    def _write_map(self, path: Path) -> None:
        write_id_map(path, self.id_map())

    def id_map(self) -> np.ndarray:
        """``(H, W)`` int32, the id of each pixel's segment, 0 where there is none.

        Raises:
            ConfigError: If segments overlap.
        """
        if self.task == 'instance':
            raise ConfigError(
                "Instances may overlap, so they are no map: load the model with task='panoptic', if it gives such "
                'results.'
            )
        id_map = np.zeros(self.size, np.int32)
        for segment in self.segments:
            id_map[segment.mask] = segment.id
        return id_map

    def to_labelme(self, path: str | os.PathLike | None = None) -> dict:
        """The content of LabelMe's JSON file, which is written if there is a ``path``."""
        return exchange.labelme(self.name, self.size, self.shapes(), path)

    def to_cvat(self, path: str | os.PathLike | None = None, image_id: int = 0) -> str:
        """CVAT's XML for images (1.1) with the exact masks, which is written if there is a ``path``."""
        return exchange.cvat([(image_id, self.name, self.size, self.shapes())], path)

    def to_label_studio(
        self, path: str | os.PathLike | None = None, *, image: str | None = None, polygons: bool = False
    ) -> list[dict]:
        """Label Studio's task with this as its prediction, which is written if there is a ``path``; arguments as of
        :func:`~mask2former.predictions.exchange.label_studio`."""
        return exchange.label_studio(self.name, self.size, self.shapes(), path, image=image, polygons=polygons)

    def shapes(self) -> Sequence[exchange.Shape]:
        """The segments as labelling tools take them."""
        return [exchange.Shape(s.id, s.label, s.rle, s.polygons, s.score) for s in self.segments]
