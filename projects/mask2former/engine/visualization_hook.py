"""Draws images with their predictions while validating and testing."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from mask2former.errors import ConfigError
from mask2former.formats.bands import decode_bands
from mask2former.registry import HOOKS

STRIP_FRAMES = 6


@HOOKS.register_module()
class SegVisualizationHook(Hook):
    """Draw samples with ``runner.visualizer``, which must be one that draws samples, such as `SegLocalVisualizer`.

    Of a video a film strip is drawn: a few frames of it, spread evenly, with the truth above the prediction.

    Validation draws every ``interval``-th image, testing every image, until ``max_images``. Where several processes
    test together, only the first one draws: its share of the images.

    Args:
        draw: Whether to draw at all.
        interval: In validation, one image out of so many is drawn.
        score_thr: Instances with lower scores are not drawn.
        show: Whether to open a window for each picture.
        wait_time: How long a window stays, in seconds; 0 waits for a key.
        out_dir: Folder of the pictures, ``<image stem>.jpg`` each, of a video ``<folder of its frames>.jpg``; one whose
            stem was met before in this run over the data is ``<stem>_2.jpg`` and so on. Without it, pictures go to the
            visualizer's backends.
        draw_gt: Whether to draw ground truth beside the predictions.
        max_images: At most so many images in one run over the data; None means all.
        backend_args: How to read image files, as MMEngine's file clients have it.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        out_dir: str | None = None,
        draw_gt: bool = True,
        max_images: int | None = None,
        backend_args: dict | None = None,
    ) -> None:
        if interval < 1:
            raise ConfigError(f'interval must be 1 or more, but is {interval}.')
        self.draw = draw
        self.interval = interval
        self.score_thr = score_thr
        self.show = show
        self.wait_time = wait_time
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.draw_gt = draw_gt
        self.max_images = max_images
        self.backend_args = backend_args
        self._start()

    def _start(self) -> None:
        self._num_seen = 0
        self._num_drawn = 0
        self._stems: Counter[str] = Counter()

    def before_run(self, runner: Runner) -> None:
        """Refuse a visualizer that would draw nothing."""
        if self.draw and type(runner.visualizer).add_datasample is Visualizer.add_datasample:
            raise ConfigError(
                f'SegVisualizationHook draws with the visualizer, but {type(runner.visualizer).__name__} draws no '
                "samples: write visualizer=dict(type='SegLocalVisualizer') in the config."
            )

    def before_val_epoch(self, runner: Runner) -> None:
        """Count from the first image."""
        self._start()

    def before_test_epoch(self, runner: Runner) -> None:
        """Count from the first image."""
        self._start()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Draw every ``interval``-th image; see :class:`mmengine.hooks.Hook` for the arguments."""
        self._draw(runner, outputs, self.interval, 'val_img', runner.iter)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Draw every image; see :class:`mmengine.hooks.Hook` for the arguments."""
        self._draw(runner, outputs, 1, 'test_img', None)

    def _draw(
        self, runner: Runner, samples: Sequence[DetDataSample] | None, interval: int, name: str, step: int | None
    ) -> None:
        """Draw those of a batch whose turn it is; without a ``step`` of training they are numbered."""
        if not self.draw:
            return
        for sample in samples or ():
            due = self._num_seen % interval == 0
            self._num_seen += 1
            if not due or (self.max_images is not None and self._num_drawn >= self.max_images):
                continue
            self._num_drawn += 1
            bands = sample.get('bands')
            target = dict(
                name=name if step is None else f'{name}_{self._num_drawn}',
                show=self.show,
                wait_time=self.wait_time,
                step=self._num_drawn if step is None else step,
            )
            if 'img_paths' in sample:
                places = spread(len(sample.img_paths))
                frames = {place: self._read(sample.img_paths[place], bands) for place in places}
                strip = runner.visualizer.draw_video(frames, sample, self.draw_gt, score_thr=self.score_thr)
                path = Path(sample.img_paths[0])
                runner.visualizer.add_drawing(
                    drawn=strip, out_file=self._out_file(path.parent.name or path.stem), **target
                )
                continue
            runner.visualizer.add_datasample(
                image=self._read(sample.img_path, bands),
                data_sample=sample,
                draw_gt=self.draw_gt,
                out_file=self._out_file(Path(sample.img_path).stem),
                pred_score_thr=self.score_thr,
                **target,
            )

    def _read(self, path: str, bands: int | None) -> np.ndarray:
        """The image (H, W, 3) uint8 RGB; with ``LoadImage(bands=N)`` (H, W, N) as the file has it."""
        content = get(path, backend_args=self.backend_args)
        if bands is not None:
            return decode_bands(content, path, bands)
        return mmcv.imfrombytes(content, channel_order='rgb')

    def _out_file(self, stem: str) -> str | None:
        if self.out_dir is None:
            return None
        self._stems[stem] += 1
        count = self._stems[stem]
        return str(self.out_dir / (f'{stem}.jpg' if count == 1 else f'{stem}_{count}.jpg'))


def spread(length: int, most: int = STRIP_FRAMES) -> list[int]:
    """Places of at most ``most`` of the frames of a video, evenly from the first to the last."""
    return sorted({round(place) for place in np.linspace(0, length - 1, min(length, most))})
