"""Images that are read, predicted and written without ever being in memory as a whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from scipy import ndimage

from mask2former.apis import SegInferencer
from mask2former.apis.inferencer import ImageInput
from mask2former.engine.unwrap import unwrap_model
from mask2former.errors import ConfigError, MissingFileError
from mask2former.formats.bands import in_file_order
from mask2former.formats.image_rows import ArrayRows, ImageRows, open_rows
from mask2former.formats.panoptic_png import write_id_strips
from mask2former.formats.rle import decode_crop, edges_of, encode_edges, encode_mask
from mask2former.models import SegTileModel
from mask2former.progress import ProgressBar
from mask2former.tiles import SegmentMap, TileGrid, TileMerger

from .prediction import Prediction
from .segments import PredictedSegment

PICTURE_SIDE = 2048  # pixels of the longer side of the image in a picture
FEW_TILES = 8  # no progress is shown of so many


class TiledResult(NamedTuple):
    """The merged tiles of an image.

    Attributes:
        field: The kind of results that segments are made of, such as 'pred_panoptic_seg'.
        segments: Those of the whole image.
        segment_map: The map that they were painted of; None of instances.
        image: Every ``step``-th row and column of the image (h, w, bands), for pictures.
        step: 1 for an image that is small enough.
    """

    field: str
    segments: list[PredictedSegment]
    segment_map: SegmentMap | None
    image: np.ndarray
    step: int


def open_image(inferencer: SegInferencer, image: ImageInput) -> ImageRows:
    """The rows of an image, as the model's pipeline reads it.

    Raises:
        MissingFileError: If there is no such file; also what ``inferencer.read_image`` raises.
    """
    if isinstance(image, np.ndarray):
        return ArrayRows(inferencer.read_image(image))
    if not Path(image).is_file():
        raise MissingFileError(f"There is no image '{image}'.")
    return open_rows(Path(image), getattr(inferencer.load, 'bands', None), lambda: inferencer.read_image(image))


def predict_in_tiles(
    inferencer: SegInferencer,
    model: SegTileModel,
    image: ImageRows,
    grid: TileGrid,
    choose: Callable[[DetDataSample], str],
) -> TiledResult:
    """Predict an image tile by tile.

    Memory is that of the model for a tile, of a tile's height of rows of the image, and of what is found.

    Args:
        inferencer: What the model belongs to.
        model: Its model.
        image: The image.
        grid: Its tiles.
        choose: The kind of results that segments are to be made of, out of those of a tile.

    Raises:
        UserError: What ``choose`` raises.
    """
    merger = TileMerger(grid, model.min_iou)
    sample = DetDataSample(metainfo=dict(ori_shape=grid.size))
    bands = getattr(inferencer.load, 'bands', None)
    if bands is not None:
        sample.set_metainfo(dict(bands=bands))
    step = -(-max(grid.size) // PICTURE_SIDE)
    rows, chosen = np.empty((0, 0, 0)), ''
    picture: list[np.ndarray] = []
    with torch.no_grad(), inferencer.precision(), ExitStack() as stack:
        for tile in ProgressBar(grid.tiles, disable=len(grid) <= FEW_TILES, desc='tiles', unit='tile'):
            if tile.columns.start == 0:
                rows = image.read(tile.rows)
                done = sum(len(part) for part in picture) * step
                picture.append(rows[done - tile.rows.start :: step, ::step].copy())
            pixels = np.ascontiguousarray(rows[:, tile.columns])
            found = model.predict_tile(pixels, tile, sample)
            if not chosen:
                chosen = choose(found)
                stack.enter_context(_only(chosen, model))
            merger.add(tile, found, [chosen])
    if chosen == 'pred_instances':
        sure = [instance for instance in merger.instances() if instance.score >= inferencer.score_thr]
        segments = [PredictedSegment(number, *instance) for number, instance in enumerate(sure, 1)]
        return TiledResult(chosen, segments, None, np.concatenate(picture), step)
    segment_map = merger.panoptic() if chosen == 'pred_panoptic_seg' else merger.semantic()
    segments = segments_of_map(segment_map, with_scores=chosen == 'pred_panoptic_seg')
    return TiledResult(chosen, segments, segment_map, np.concatenate(picture), step)


@contextmanager
def _only(field: str, model: SegTileModel) -> Iterator[None]:
    """In it, of each tile's results only this kind is made."""
    plain: Any = unwrap_model(model)
    parts = plain.postprocessors
    plain.postprocessors = [part for part in parts if getattr(part, 'predicts', None) in (field, None)]
    try:
        yield
    finally:
        plain.postprocessors = parts


def segments_of_map(segment_map: SegmentMap, with_scores: bool) -> list[PredictedSegment]:
    """Those that have pixels in the map, which is painted once and forgotten."""
    height, width = segment_map.grid.size
    edges: dict[int, list[np.ndarray]] = {}
    for rows, ids in segment_map.strips():
        for number, box in enumerate(ndimage.find_objects(ids), 1):
            if box is not None:
                crop = ids[box] == number
                edges.setdefault(number, []).append(edges_of(crop, rows.start + box[0].start, box[1].start, height))
    segments = []
    for number in sorted(edges):
        segment = segment_map.segments[number - 1]
        rle = encode_edges(np.concatenate(edges.pop(number)), height, width)
        segments.append(PredictedSegment(number, segment.label, segment.score if with_scores else None, rle))
    return segments


@dataclass(frozen=True)
class TiledPrediction(Prediction):
    """What a model found in the tiles of an image.

    ``sample`` has the results at the size of the picture, which ``draw`` draws: of a big image every second row and
    column, or fewer.
    """

    segment_map: SegmentMap | None = field(repr=False, default=None)
    image_size: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image_size

    def strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """See :meth:`Prediction.strips`; no more than a strip is in memory."""
        if self.segment_map is None:
            raise ConfigError("Instances may overlap, so they are no map: load the model with task='panoptic'.")
        return self.segment_map.strips()

    def id_map(self) -> np.ndarray:
        """See :meth:`Prediction.id_map`."""
        return np.concatenate([ids for _, ids in self.strips()])

    def _write_map(self, path: Path) -> None:
        write_id_strips(path, self.strips(), self.size)


def small_sample(result: TiledResult, isthing: Sequence[bool]) -> DetDataSample:
    """The results at the size of the picture."""
    shape, step = result.image.shape[:2], result.step
    sample = DetDataSample(metainfo=dict(ori_shape=shape, img_shape=shape))
    if result.segment_map is None:
        masks = []
        for segment in result.segments:
            canvas = np.zeros(shape, dtype=bool)
            crop, top, left = decode_crop(segment.rle)
            small = crop[-top % step :: step, -left % step :: step]
            y, x = -(-top // step), -(-left // step)
            canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
            masks.append(encode_mask(canvas))
        sample.pred_instances = InstanceData(
            labels=torch.tensor([segment.label for segment in result.segments], dtype=torch.int64),
            scores=torch.tensor([segment.score for segment in result.segments], dtype=torch.float32),
            masks=masks,
        )
        return sample
    ids = np.concatenate([ids[-rows.start % step :: step, ::step] for rows, ids in result.segment_map.strips()])
    if result.field == 'pred_sem_seg':
        labels = np.array([0, *(segment.label for segment in result.segment_map.segments)])
        sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(labels[ids])[None])
        return sample
    seen = set(np.unique(ids).tolist())
    infos = [
        dict(id=segment.id, label=segment.label, isthing=bool(isthing[segment.label]), score=segment.score)
        for segment in result.segments
        if segment.id in seen
    ]
    sample.pred_panoptic_seg = PixelData(id_map=torch.from_numpy(ids)[None], metainfo=dict(segments_info=infos))
    return sample


def draw_small(inferencer: SegInferencer, result: TiledResult, sample: DetDataSample) -> np.ndarray:
    """The picture of an image in tiles: (height, width, 3) uint8 RGB."""
    return inferencer.visualizer.draw_datasample(
        in_file_order(result.image), sample, draw_gt=False, pred_score_thr=inferencer.score_thr
    )
