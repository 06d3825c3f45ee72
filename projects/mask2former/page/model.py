"""The model of the page: one of images, or one of videos, loaded once."""

import html
import os
import threading
from pathlib import Path

from mmengine.config import Config

from mask2former.apis import VideoInferencer, init_model, list_images
from mask2former.apis.frame_pipeline import FramePipeline
from mask2former.engine.unwrap import unwrap_model
from mask2former.errors import UserError
from mask2former.models.video.frame_results import TASKS
from mask2former.predictions import Predictor
from mask2former.predictions.loading import locate

from .studio import Studio

NAMED = 12  # classes at the top of the page


class PageModel:
    """A model, loaded.

    Args:
        run: As of :func:`~mask2former.predictions.load`: a folder, a checkpoint, a config, a name.
        checkpoint: As there.
        device: By default the GPU if there is one.

    Attributes:
        name (str): What the page calls it.
        studio (Studio | None): What finds segments in images; None of a model of videos.
        tasks_of_videos (tuple): What it can track, of 'panoptic', 'instance' and 'semantic'.
        lock (Lock): Held while it works.

    Raises:
        UserError: What loading raises; also of a model that gives no results that the page can show.
    """

    def __init__(
        self, run: str | os.PathLike, checkpoint: str | os.PathLike | None = None, *, device: str | None = None
    ) -> None:
        config, weights = locate(run, checkpoint)
        self.config = config if isinstance(config, Config) else Config.fromfile(config)
        self.name = Path(run).resolve().name if Path(run).exists() else os.fspath(run)
        self.studio = None
        self.lock = threading.Lock()
        if FramePipeline(self.config).of_clips:
            self.model = init_model(config, weights, device)
        else:
            predictor = Predictor(config, weights, device=device)
            self.studio = Studio(predictor, self.lock)
            self.model = unwrap_model(predictor.inferencer.model)
        parts = getattr(self.model, 'postprocessors', ())
        self.tasks_of_videos = tuple(
            task for task, kinds in TASKS.items() if any(isinstance(part, kinds) for part in parts)
        )

    def video_inferencer(self, task: str, score_thr: float) -> VideoInferencer:
        """What tracks in videos."""
        return VideoInferencer.of_model(self.model, task=task, score_thr=score_thr)

    def describe(self) -> str:
        """Name, tasks, classes and device, as HTML."""
        classes = [str(name) for name in self.model.dataset_meta['classes']]
        tasks = self.tasks_of_videos if self.studio is None else self.studio.tasks
        names = ', '.join(classes[:NAMED]) + (f' and {len(classes) - NAMED} more' if len(classes) > NAMED else '')
        device = next(self.model.parameters()).device
        said = f'{", ".join(tasks)} · {len(classes)} classes: {names} · {device}'
        return f'<h1>{html.escape(self.name)}</h1><p>{html.escape(said)}</p>'

    def data_images(self, most: int = 5) -> list[Path]:
        """The first images of the data set that the config tests on, as far as they are there."""
        dataset = self.config.get('test_dataloader', {}).get('dataset', {})
        prefix = dataset.get('data_prefix') or {}
        folder = Path(dataset.get('data_root') or '', prefix.get('img') or prefix.get('img_path') or '')
        try:
            return [Path(path).resolve() for path in list_images(folder)[:most]]
        except UserError:
            return []
