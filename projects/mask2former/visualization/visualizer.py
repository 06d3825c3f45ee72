"""Draws an image with its ground truth and its predictions side by side."""

from collections.abc import Mapping, Sequence

import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dist import master_only
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend
from PIL.ImageFont import FreeTypeFont

from mask2former.errors import ConfigError
from mask2former.formats.rle import decode_mask
from mask2former.models.video import FrameResult
from mask2former.registry import VISUALIZERS

from .bands import as_rgb, check_bands
from .class_table import ClassTable
from .draw import (
    drawing_size,
    fill_segments,
    outline_masks,
    outline_segments,
    resize_image,
    resize_map,
    tile_grid,
    tile_panels,
)
from .labels import add_caption, draw_labels, load_font, place_labels
from .segment_map import SegmentMap, from_clip, from_instances, from_panoptic, from_semantic
from .track_map import VideoPanels, from_frame_segments, from_labels, from_tracks

STRIP_SIDES = 320, 480  # shortest and longest longest side of a frame in a film strip, in pixels


@VISUALIZERS.register_module()
class SegLocalVisualizer(Visualizer):
    """Draws segmentations of every task: image | ground truth | panoptic | instance | semantic, as far as there are.

    Names and colours come from ``dataset_meta`` (``classes``, ``palette``, ``isthing``); without it labels are numbers.

    Args:
        name: Name of the visualizer.
        image: As MMEngine's visualizer has it.
        vis_backends: Where pictures without an ``out_file`` go.
        save_dir: Folder of the backends.
        alpha: Share of the segments' colours in 0 .. 1; the rest is the image.
        panel_sides: Smallest and largest longest side of a panel in pixels. Smaller images are enlarged, so that labels
            on them can be read; larger ones are reduced.
        font_file: A TrueType font for class names in scripts that DejaVu Sans lacks, such as Chinese.
        bands: Which three bands of images of N bands are red, green and blue, or which one is grey; see
            :func:`~mask2former.visualization.bands.as_rgb`.

    Raises:
        ConfigError: If an argument is impossible.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        image: np.ndarray | None = None,
        vis_backends: list[dict | BaseVisBackend] | dict | BaseVisBackend | None = None,
        save_dir: str | None = None,
        alpha: float = 0.55,
        panel_sides: tuple[int, int] = (512, 1600),
        font_file: str | None = None,
        bands: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, image=image, vis_backends=vis_backends, save_dir=save_dir)
        if not 0 <= alpha <= 1:
            raise ConfigError(f'alpha must lie in 0 .. 1, but is {alpha}.')
        if not 0 < panel_sides[0] <= panel_sides[1]:
            raise ConfigError(f'panel_sides must be (smallest, largest), but are {panel_sides}.')
        if bands is not None:
            check_bands(bands)
        self.alpha = alpha
        self.panel_sides = panel_sides
        self.font_file = font_file
        self.bands = bands

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a sample, and show it, if wished; write it to ``out_file`` or else hand it to the backends.

        Args:
            name: Name of the picture in the backends and title of the window.
            image: (H, W, 3) or (H, W) uint8, RGB; or (H, W, N) numbers, of which ``bands`` are shown.
            data_sample: The first that it has of ``gt_panoptic_seg``, ``gt_segments``, ``gt_instances`` and
                ``gt_sem_seg``, and its ``pred_panoptic_seg``,
                ``pred_instances`` and ``pred_sem_seg`` are drawn, each where it exists.
            draw_gt: Whether to draw ground truth.
            draw_pred: Whether to draw predictions.
            show: Whether to open a window.
            wait_time: How long the window stays, in seconds; 0 waits for a key.
            out_file: The picture file; its folder is made.
            pred_score_thr: Instances with lower scores are not drawn.
            step: Step number for the backends.

        Raises:
            ConfigError: If the image is none, lacks the ``bands`` to be shown, or a field has another size than it.
        """
        drawn = self.draw_datasample(image, data_sample, draw_gt, draw_pred, pred_score_thr)
        self.add_drawing(name, drawn, show, wait_time, out_file, step)

    @master_only
    def add_drawing(
        self,
        name: str,
        drawn: np.ndarray,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
    ) -> None:
        """Show a picture (height, width, 3) uint8 RGB, and write it; arguments as of :meth:`add_datasample`."""
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(np.ascontiguousarray(drawn[..., ::-1]), str(out_file))
        else:
            self.add_image(name, drawn, step)
        # `get_image()` gives the last drawing, as with other visualizers.
        self.set_image(drawn)

    def draw_datasample(
        self,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        pred_score_thr: float = 0.3,
    ) -> np.ndarray:
        """Draw a sample; arguments and errors as of :meth:`add_datasample`.

        Returns:
            np.ndarray: The panels side by side, (height, width, 3) uint8 RGB.
        """
        image = as_rgb(image, self.bands)
        panels = self._collect(data_sample, image.shape[:2], draw_gt, draw_pred, pred_score_thr)
        for title, panel in panels:
            if panel.shape != image.shape[:2]:
                raise ConfigError(
                    f"'{title}' is of size {panel.shape}, but the image of size {image.shape[:2]} (height, width): "
                    'draw on the image that the segments belong to.'
                )
        size = drawing_size(image.shape[:2], self.panel_sides)
        font = load_font(max(12, round(max(size) / 40)), self.font_file)
        base = resize_image(image, size)
        drawings = [add_caption(base, 'Image', font)]
        drawings += [add_caption(self._draw_panel(base, panel, font), title, font) for title, panel in panels]
        return tile_panels(drawings, gap=max(4, max(size) // 128))

    def draw_clip(self, frames: np.ndarray, sample: DetDataSample) -> np.ndarray:
        """Draw a clip that was packed for training as a film strip: its frames in order, each track in one colour.

        Args:
            frames: ``(T, H, W, 3)`` uint8 RGB; or ``(T, H, W, N)`` numbers, of which ``bands`` are shown.
            sample: Has ``frame_ids`` and, where tracks are to be drawn, ``gt_segments`` and ``gt_seg_map``.

        Returns:
            np.ndarray: (height, width, 3) uint8 RGB.
        """
        T, H, W, _ = frames.shape
        frames = as_rgb(frames.reshape(T * H, W, -1), self.bands).reshape(T, H, W, 3)  # stretched together
        size = drawing_size((H, W), self.panel_sides)
        font = load_font(max(12, round(max(size) / 40)), self.font_file)
        drawings = [resize_image(frame, size) for frame in frames]
        if 'gt_seg_map' in sample:
            panels = from_clip(sample, len(frames), ClassTable(self.dataset_meta))
            drawings = [self._draw_panel(base, panel, font) for base, panel in zip(drawings, panels)]
        titles = [f'Frame {place}' for place in sample.frame_ids]
        drawings = [add_caption(drawing, title, font) for drawing, title in zip(drawings, titles)]
        return tile_panels(drawings, gap=max(4, max(size) // 128))

    def draw_video(
        self,
        frames: Mapping[int, np.ndarray],
        sample: DetDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
        score_thr: float = 0.3,
    ) -> np.ndarray:
        """Draw a whole video that was tested as a film strip: a column for each frame, truth above, prediction below.

        Args:
            frames: Place in the sample and image (H, W, 3) uint8 RGB of each frame that is to be drawn.
            sample: Has ``gt_tracks``, ``pred_tracks``, ``gt_panoptic_video``, ``pred_panoptic_video`` and
                ``pred_sem_seg``, as far as they are to be drawn; what matches has one number and colour, see
                :class:`.track_map.VideoPanels`.
            draw_gt: Whether to draw the truth.
            draw_pred: Whether to draw predictions.
            score_thr: Predicted tracks of a lower score are left out.

        Returns:
            np.ndarray: (height, width, 3) uint8 RGB.
        """
        panels_of = VideoPanels(sample, ClassTable(self.dataset_meta), draw_gt, draw_pred, score_thr)
        columns = []
        for place, image in frames.items():
            size = drawing_size(image.shape[:2], STRIP_SIDES)
            font = load_font(max(12, round(max(size) / 40)), self.font_file)
            base = resize_image(as_rgb(image, self.bands), size)
            panels = panels_of[place]
            drawn = [(f'Frame {place}', base)] if not panels else []
            drawn += [(f'{title}, frame {place}', self._draw_panel(base, panel, font)) for title, panel in panels]
            columns.append([add_caption(drawing, title, font) for title, drawing in drawn])
        return tile_grid([*zip(*columns, strict=True)], gap=max(4, max(size) // 128))

    def draw_frame(self, frame: np.ndarray, result: FrameResult) -> np.ndarray:
        """Draw the result of a frame on it: tracks in the colours of their ids, with class, id and score.

        Args:
            frame: (H, W, 3) uint8 RGB.
            result: Of it.

        Returns:
            np.ndarray: (height, width, 3) uint8 RGB, larger or smaller than the frame as ``panel_sides`` says.
        """
        table = ClassTable(self.dataset_meta)
        if result.id_map is not None:
            panel = from_frame_segments(result.id_map, result.segments_info, table)
        elif result.sem_seg is not None:
            panel = from_labels(result.sem_seg, table)
        else:
            panel = from_tracks(result.tracks, table, frame.shape[:2])
        return self.draw_map(frame, panel)

    def draw_map(self, image: np.ndarray, panel: SegmentMap) -> np.ndarray:
        """Draw segments on an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            panel: Its segments; of another size they are resized.

        Returns:
            np.ndarray: (height, width, 3) uint8 RGB, larger or smaller than the image as ``panel_sides`` says.
        """
        size = drawing_size(image.shape[:2], self.panel_sides)
        font = load_font(max(12, round(max(size) / 50)), self.font_file)
        return self._draw_panel(resize_image(image, size), panel, font)

    def _collect(
        self, sample: DetDataSample | None, shape: tuple[int, int], draw_gt: bool, draw_pred: bool, score_thr: float
    ) -> list[tuple[str, SegmentMap]]:
        """The panels beside the image of size ``shape``, as (title, segments)."""
        if sample is None:
            return []
        table = ClassTable(self.dataset_meta)
        panels = []
        if draw_gt and 'gt_panoptic_seg' in sample:
            panels.append(('Ground truth', from_panoptic(sample.gt_panoptic_seg, table)))
        elif draw_gt and 'gt_segments' in sample:
            panels.append(('Ground truth', from_instances(sample.gt_segments, table, shape)))
        elif draw_gt and 'gt_instances' in sample:
            panels.append(('Ground truth', from_instances(sample.gt_instances, table, shape)))
        elif draw_gt and 'gt_sem_seg' in sample:
            panels.append(('Ground truth', from_semantic(sample.gt_sem_seg, table)))
        if draw_pred and 'pred_panoptic_seg' in sample:
            panels.append(('Panoptic', from_panoptic(sample.pred_panoptic_seg, table)))
        if draw_pred and 'pred_instances' in sample:
            panels.append(('Instance', from_instances(sample.pred_instances, table, shape, score_thr)))
        if draw_pred and 'pred_sem_seg' in sample:
            panels.append(('Semantic', from_semantic(sample.pred_sem_seg, table)))
        return panels

    def _draw_panel(self, base: np.ndarray, panel: SegmentMap, font: FreeTypeFont) -> np.ndarray:
        """Fill, outline and label the segments of one panel on ``base``, which has the size of the drawing."""
        size = base.shape[:2]
        id_map = resize_map(panel.id_map, size)
        width = max(1, round(max(size) / 640))
        drawn = fill_segments(base, id_map, panel.colors, self.alpha, panel.dim_void)
        if panel.masks:
            outline_masks(drawn, (resize_map(decode_mask(mask), size) for mask in panel.masks), width)
        else:
            outline_segments(drawn, id_map, width)
        return draw_labels(drawn, place_labels(id_map, panel.texts, panel.colors, font), font)
